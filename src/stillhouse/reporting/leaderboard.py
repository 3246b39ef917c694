"""``stillhouse leaderboard``: one self-contained page for each profile over all its runs.

Scores share a chart and a table only if their protocol's id is equal; a paper's scores stand beside ours only if it states the same
protocol.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from stillhouse.artifacts import store
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.published_results import STATED, PublishedScore, published_scores
from stillhouse.reporting.nightly_chart import over_runs
from stillhouse.reporting.rendering import write_page
from stillhouse.reporting.run_record import BASE, RunRecord, RunScore
from stillhouse.reporting.store_runs import StoreRuns
from stillhouse.reporting.svg import SERIES_COLORS

DIRECTORY = "leaderboard"
MLFLOW = "mlflow"
"""In place of a store's root: the page is shown by MLflow, which knows the runs' pages."""
SHORT_ID = 8
"""Digits of a protocol's id that a page shows."""


@dataclass(frozen=True)
class Entry:
    """One score of one run, with what stands beside it."""

    record: RunRecord
    score: RunScore
    gain: Interval | None
    """Over the run's base, paired."""
    is_champion: bool


@dataclass(frozen=True)
class Section:
    """The scores that compare: one benchmark and round, one protocol."""

    benchmark: str
    number: int
    protocol: str
    settings: Mapping[str, Any]
    entries: Sequence[Entry]
    """The newest run first."""
    chart: Markup
    published: Sequence[PublishedScore]


@dataclass(frozen=True)
class Written:
    """A page that was written."""

    profile: str
    uri: str
    n_runs: int
    problems: Sequence[str]


def write_all(root: str, found: StoreRuns, output: str = "") -> list[Written]:
    """Write the page of every profile to ``output``, else to ``{root}/leaderboard``; both may be on S3."""
    root = store.absolute(root)
    directory = store.absolute(output) if output else store.join(root, DIRECTORY)
    written = []
    for profile, records in sorted(found.by_profile.items()):
        uri = store.join(directory, f"{quote(profile) if directory.startswith('file://') else profile}.html")
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "page.html"
            write(path, profile, records, links_from=root if not output else "", problems=found.problems)
            store.store_of(uri).upload(path, uri)
        problems = [*(problem for record in records for problem in record.problems), *found.problems]
        written.append(Written(profile, uri, len(records), problems))
    return written


def write(path: Path, profile: str, records: Sequence[RunRecord], links_from: str = "", problems: Sequence[str] = ()) -> None:
    """The page of one profile.

    ``links_from``: the store's root if the page will lie in its ``leaderboard/``, MLFLOW if it is shown there; else links are in
    full.
    """
    listed = sections(records)
    champion = next((record for record in reversed(records) if record.is_champion), None)
    write_page(
        path, "leaderboard.html.j2", scripts=["leaderboard.js"] if listed else [], title=f"Leaderboard of {profile}",
        records=list(reversed(records)), sections=listed,
        champion=champion, page_of=lambda record: page_link(record, links_from), web=_web, short=SHORT_ID,
        problems=[*problems, *(problem for record in records for problem in record.problems)],
        total=_total(records),
    )  # fmt: skip


def sections(records: Sequence[RunRecord]) -> list[Section]:
    """The scores of all runs, by benchmark, round and protocol; the protocol that was measured last first."""
    by_key: dict[tuple[str, int, str], list[Entry]] = {}
    newest: dict[tuple[str, int, str], int] = {}
    for place, record in enumerate(records):
        gains = {(gain.role, gain.benchmark, gain.number): gain.difference for gain in record.gains}
        for score in record.scores:
            champion = record.is_champion and score.role == record.final
            entry = Entry(record, score, gains.get((score.role, score.benchmark, score.number)), champion)
            key = (score.benchmark, score.number, score.protocol)
            by_key.setdefault(key, []).append(entry)
            newest[key] = place
    order = sorted(by_key, key=lambda key: (key[0], key[1], -newest[key], key[2]))
    colours = _colours(records)
    return [_section(key, by_key[key], colours) for key in order]


def page_link(record: RunRecord, root: str) -> str:
    """Where the run's page lies, from a leaderboard in the same store or in MLflow; else in full."""
    if root == MLFLOW:
        page, _, view = record.mlflow.partition("?")
        return _web(f"{page}/artifacts/run.html?{view}") if page else ""
    if root and record.page.startswith(f"{root}/"):
        return f"../{record.page.removeprefix(f'{root}/')}"
    return record.page if record.page.startswith(("https://", "http://", "file://")) else ""


def _web(url: str) -> str:
    """The address, if it is one of the web: a record is data, and may hold anything."""
    return url if url.startswith(("https://", "http://")) else ""


def _colours(records: Sequence[RunRecord]) -> dict[str, int]:
    """Role -> its colour, the same in all charts."""
    roles = list(dict.fromkeys(score.role for record in reversed(records) for score in record.scores))
    ordered = sorted(roles, key=lambda role: role != BASE)
    return {role: index % SERIES_COLORS for index, role in enumerate(ordered)}


def _section(key: tuple[str, int, str], entries: Sequence[Entry], colours: Mapping[str, int]) -> Section:
    benchmark, number, protocol = key
    settings = entries[-1].score.settings
    series: dict[str, dict[str, Interval]] = {}
    for role in colours:
        measured = {entry.record.run: entry.score.measured for entry in entries if entry.score.role == role}
        series |= {role: measured} if measured else {}
    champions = {entry.record.run: entry.score.role for entry in entries if entry.is_champion}
    chart = over_runs(list(dict.fromkeys(entry.record.run for entry in entries)), series, colours, champions)
    return Section(
        benchmark, number, protocol, {name: settings.get(name) for name in STATED}, _newest_first(entries), chart,
        _comparable(benchmark, number, settings),
    )  # fmt: skip


def _newest_first(entries: Sequence[Entry]) -> list[Entry]:
    """Runs from the newest, the roles of one run in the order of training."""
    by_run: dict[str, list[Entry]] = {}
    for entry in entries:
        by_run.setdefault(entry.record.run, []).append(entry)
    return [entry for run in reversed(by_run.values()) for entry in run]


def _comparable(benchmark: str, number: int, settings: Mapping[str, Any]) -> list[PublishedScore]:
    """The papers' scores in this round that were measured under our protocol."""
    if any(name not in settings for name in STATED):
        return []
    published = published_scores(benchmark, settings)
    return sorted((one for one in published if not one.other and one.number == number), key=lambda one: -one.percent)


def _total(records: Sequence[RunRecord]) -> dict[str, float]:
    """What all runs cost together."""
    return {
        "gpu_hours": sum(record.cost.gpu_hours or 0.0 for record in records),
        "task_hours": sum(record.cost.task_hours for record in records),
        "tokens": sum(record.cost.tokens_sampled for record in records),
    }
