"""Samples that teach: questions that the last checkpoint gained, lost, or changed its mind on, and doubtful verdicts."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path

from stillhouse.artifacts import integrity, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import DamagedArtifact, MissingInput
from stillhouse.registry.config import Version
from stillhouse.reporting.samples import Sample, sample_of
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import FAILED, Question, Response, ResponseKey, Verified, response_key

CASES_SHOWN = 20
NEAR = 0.1
"""A score is near its threshold if it is within this share of it."""


@dataclass(frozen=True)
class Case:
    """One question with the responses that make it worth reading."""

    why: str
    """What it shows: ``gained``, ``lost``, ``flipped`` or ``verifier unsure``."""
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class _Pick:
    why: str
    benchmark: str
    keys: tuple[tuple[str, ResponseKey], ...]
    """The checkpoint's label and the response, in the order in which they are read."""


def cases(reports: Mapping[str, Path]) -> list[Case]:
    """At most ``CASES_SHOWN`` cases, each kind in its turn.

    ``reports``: directories by checkpoint. What the last one gained or lost is told against the first.
    """
    if not reports:
        return []
    names = sorted(path.parent.name for path in list(reports.values())[-1].glob("*/verified"))
    by_kind: dict[str, list[Iterator[_Pick]]] = {}
    for name in names:
        verdicts = {label: _verdicts(path / name) for label, path in reports.items() if (path / name / "verified").is_dir()}
        for kind, picks in _picks(name, verdicts).items():
            by_kind.setdefault(kind, []).append(picks)
    queues = [_in_turn(queues) for queues in by_kind.values()]
    return _read(list(islice(_in_turn(queues), CASES_SHOWN)), reports)


def champion_first(champion: Version | None, reports: Mapping[str, Path], scratch: Path) -> dict[str, Path]:
    """The reports with the champion's before them, fetched to ``scratch``; without it if its rows are gone."""
    if champion is None:
        return dict(reports)
    version, tags = champion
    try:
        manifest = manifests.load(tags["report"])
        rows = [name for name in manifest.files if name.endswith(".parquet")]
        directory = integrity.fetch(tags["report"], scratch, rows, f"report of champion version {version}")
    except (DamagedArtifact, MissingInput) as error:
        print(f"  samples are compared with the first checkpoint: {one_line(error)}", file=sys.stderr, flush=True)
        return dict(reports)
    return {f"champion version {version}": directory, **reports}


def _in_turn(queues: list[Iterator[_Pick]]) -> Iterator[_Pick]:
    """One of each queue, then the next of each."""
    return (pick for pick in chain.from_iterable(zip_longest(*queues)) if pick is not None)


def _verdicts(report: Path) -> dict[ResponseKey, Verified]:
    """The verdicts on the first sample of every question, in all rounds."""
    return {response_key(row): row for row in tables.read(report / "verified", Verified) if row.sample_index == 0}


def _picks(name: str, verdicts: Mapping[str, Mapping[ResponseKey, Verified]]) -> dict[str, Iterator[_Pick]]:
    """The cases of one benchmark by kind, each in order of the question ids."""
    labels = list(verdicts)
    first, last = (_by_round(verdicts[label]) for label in (labels[0], labels[-1]))

    def changed(why: str, outcome: tuple[bool, bool]) -> Iterator[_Pick]:
        for key in sorted(last) if len(labels) > 1 else ():
            if key[1] == 1 and key in first and (first[key].passed, last[key].passed) == outcome:
                yield _Pick(why, name, ((labels[0], response_key(first[key])), (labels[-1], response_key(last[key]))))

    return {
        "gained": changed("gained", (False, True)), "lost": changed("lost", (True, False)),
        "flipped": _flipped(name, labels[-1], last), "verifier unsure": _unsure(name, labels[-1], last),
    }  # fmt: skip


def _by_round(verdicts: Mapping[ResponseKey, Verified]) -> dict[tuple[str, int], Verified]:
    return {(row.question_id, row.round): row for row in verdicts.values()}


def _flipped(name: str, label: str, verdicts: Mapping[tuple[str, int], Verified]) -> Iterator[_Pick]:
    """Questions whose second round passes where the first did not, or the other way round; the rarer of the two is as frequent."""
    second = sorted(key for key in verdicts if key[1] == 2 and (key[0], 1) in verdicts)

    def turned(outcome: tuple[bool, bool]) -> Iterator[_Pick]:
        for question, _ in second:
            before, after = verdicts[question, 1], verdicts[question, 2]
            if (before.passed, after.passed) == outcome:
                yield _Pick("flipped", name, ((label, response_key(before)), (label, response_key(after))))

    return _in_turn([turned((False, True)), turned((True, False))])


def _unsure(name: str, label: str, verdicts: Mapping[tuple[str, int], Verified]) -> Iterator[_Pick]:
    for key in sorted(verdicts):
        row = verdicts[key]
        if row.kind in FAILED or row.kind == "partial" or _is_near(row):
            yield _Pick("verifier unsure", name, ((label, response_key(row)),))


def _is_near(row: Verified) -> bool:
    """Whether the score is close to the threshold: not so for a score of exactly 0 or the top of a rule's scale."""
    if row.verify_score is None or row.threshold is None or row.verify_score in {0.0, 1.0}:
        return False
    return abs(row.verify_score - row.threshold) < NEAR * row.threshold


def _read(picks: list[_Pick], reports: Mapping[str, Path]) -> list[Case]:
    """The cases with their texts: one pass over each report that has one."""
    wanted = {(label, pick.benchmark, key) for pick in picks for label, key in pick.keys}
    questions: dict[tuple[str, str], Question] = {}
    texts: dict[tuple[str, str, ResponseKey], Response] = {}
    verdicts: dict[tuple[str, str, ResponseKey], Verified] = {}
    for label, name in sorted({(label, name) for label, name, _ in wanted}):
        directory = reports[label] / name
        questions |= {(name, row.question_id): row for row in tables.read(directory / "questions", Question)}
        for row in tables.read(directory / "responses", Response):
            if (key := (label, name, response_key(row))) in wanted:
                texts[key] = row
        verdicts |= {
            key: row for row in tables.read(directory / "verified", Verified) if (key := (label, name, response_key(row))) in wanted
        }
    return [
        Case(
            pick.why,
            tuple(
                sample_of(pick.benchmark, label, questions[pick.benchmark, key[0]], texts[at], verdicts[at])
                for label, key in pick.keys
                for at in [(label, pick.benchmark, key)]
            ),
        )
        for pick in picks
    ]
