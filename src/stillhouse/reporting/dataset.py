"""A selection -> one self-contained page: what was left at each step, how hard the questions are, what the examples consist of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.artifacts import frames
from stillhouse.grading import tally
from stillhouse.reporting import charts
from stillhouse.reporting.rendering import write_page
from stillhouse.selection.composition import Composition
from stillhouse.selection.decision import Selection, SftCandidates
from stillhouse.vocabulary.rows import Graded

Counts = dict[str, dict[str, float]]
"""Series -> bin -> count."""
CV_BIN, CV_LAST = 0.1, 2.0
"""Width of a bin of CVs, and where the last one begins: four binary scores reach 2."""

PASS_RATES = "Of every model's first-round responses, as graded (like Fig. 8 of DeepDistill)."
SPREADS = (
    "Coefficient of variation of the candidates' scores, by question. Where scores are all or nothing it says nothing new beside "
    "the pass rate p of n responses: it is sqrt((1 - p) / p * n / (n - ddof))."
)
LENGTHS = "Tokens of whole responses; words where an answer, a summary or an original response is trained on; none for RL."
SWEEP = "What Algorithm 1 would keep if the CV threshold of every category were this, caps and mixes aside."


@dataclass(frozen=True)
class Dataset:
    """The numbers of the page. What the selection was made without stays empty."""

    asked: list[tuple[str, int]]
    """Questions left after each step."""
    answered: list[tuple[str, int]] = field(default_factory=list)
    """Responses left after each step."""
    pass_rates: Counts = field(default_factory=dict)
    """Model -> pass rate -> questions."""
    spreads: Counts = field(default_factory=dict)
    """Category -> bin of CVs -> questions."""
    composition: list[dict[str, Any]] = field(default_factory=list)
    """By split and category: n_examples, length, and their shares of the split."""
    lengths: Counts = field(default_factory=dict)
    """Split -> bin of lengths -> examples."""
    sweep: list[dict[str, Any]] = field(default_factory=list)
    """By CV threshold and category: n_questions, n_responses."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Questions and responses that were dropped, by reason."""


def collect(
    selection: Selection, composition: Composition, dropped: Mapping[str, int], sweep: list[dict[str, Any]], graded: Path | None
) -> Dataset:
    """Count what the page shows."""
    asked, answered, spreads = [("questions", selection.questions.height)], [], {}
    if selection.sft:
        asked += _questions_left(selection.sft)
        answered = _responses_left(selection.sft, dropped)
        spreads = _spreads(selection.sft.choices)
    asked.append(("in a split", len(composition.used)))
    return Dataset(
        asked, answered, _pass_rates(graded) if graded else {}, spreads, _shares(composition.table()), _lengths(composition), sweep,
        dropped,
    )  # fmt: skip


def _questions_left(sft: SftCandidates) -> list[tuple[str, int]]:
    made = sft.choices
    solved = made.filter(pl.col("reason").is_null() | pl.col("reason").is_in(["easy", "cv_undefined"]))
    return [
        ("with a candidate response", made.height), ("with one that passes", solved.height),
        ("kept by Algorithm 1", made["reason"].null_count()), ("of these challenging", int(made["challenging"].sum())),
    ]  # fmt: skip


def _responses_left(sft: SftCandidates, dropped: Mapping[str, int]) -> list[tuple[str, int]]:
    """Backwards from the candidates: each step's responses are the next one's and those dropped between them."""
    left = [("candidates: with a score", int(sft.choices["n"].sum()))]
    steps = (("not screened out", "no_verdict"), ("the teacher's", "screened_out"), ("first-round responses", "other_model"))
    for name, reason in steps:
        left.append((name, left[-1][1] + dropped.get(reason, 0)))
    kept = sft.passing.height + int(sft.failing.sum())
    return [*reversed(left), ("to questions kept by Algorithm 1", kept), ("that pass", sft.passing.height)]


def _pass_rates(graded: Path) -> Counts:
    made = frames.scan(graded, Graded, ("models",)).explode("models").unnest("models").select("model", "pass_rate")
    by_model = made.collect(engine="streaming").drop_nulls().partition_by("model", as_dict=True)
    return {str(model): dict(tally.histogram(rates["pass_rate"])) for (model,), rates in sorted(by_model.items())}


def _spreads(choices: pl.DataFrame) -> Counts:
    place = (pl.col("cv") / CV_BIN + 1e-9).floor().clip(0, CV_LAST / CV_BIN).cast(pl.Int32)
    found = choices.filter(pl.col("cv").is_not_null()).group_by("category", place=place).len()
    return _filled(found, lambda place: f"{place * CV_BIN:.1f}")


def _lengths(composition: Composition) -> Counts:
    return _filled(composition.lengths(), lambda place: f"{2**place:,} to {2 ** (place + 1) - 1:,}")


def _filled(found: pl.DataFrame, name: Callable[[int], str]) -> Counts:
    """Rows of series, place and count -> series -> bin -> count, with 0 for places between the first and the last."""
    if not found.height:
        return {}
    series, places = found.columns[:2]
    every = range(found[places].min(), found[places].max() + 1)  # type: ignore[arg-type, operator]
    made: Counts = {each: {name(place): 0.0 for place in every} for each in sorted(found[series].unique())}
    for each, place, count in found.iter_rows():
        made[each][name(place)] = count
    return made


def _shares(table: pl.DataFrame) -> list[dict[str, Any]]:
    shares = {f"{name}_share": pl.col(name) / pl.col(name).sum().over("split") for name in ("n_examples", "length")}
    return table.with_columns(**shares).fill_nan(None).to_dicts()


def write_dataset(path: Path, title: str, dataset: Dataset) -> None:
    """The page."""
    shown = [("Questions, step by step", "", charts.funnel(dataset.asked))]
    if dataset.answered:
        shown.append(("Responses, step by step", "", charts.funnel(dataset.answered)))
    if dataset.pass_rates:
        shown.append(("Pass rates", PASS_RATES, charts.bars(dataset.pass_rates, "pass rate", "questions")))
    if dataset.spreads:
        shown.append(("Spread of scores", SPREADS, charts.bars(dataset.spreads, "CV from", "questions", stacked=True)))
    for what, column, note in (("examples", "n_examples", ""), ("length", "length", LENGTHS)):
        counts = _pivot(dataset.composition, "category", "split", column)
        shown.append((f"Composition by {what}", note, charts.bars(counts, "split", what, stacked=True)))
    if dataset.lengths:
        shown.append(("Lengths", LENGTHS, charts.bars(dataset.lengths, "length", "examples")))
    if dataset.sweep:
        counts = _pivot(dataset.sweep, "category", "cv_threshold", "n_responses")
        shown.append(("Responses kept, by CV threshold", SWEEP, charts.lines(counts, "CV threshold", "responses kept")))
    write_page(path, "dataset.html.j2", title=title, dataset=dataset, charts=shown)


def _pivot(rows: list[dict[str, Any]], series: str, place: str, count: str) -> dict[str, dict[Any, float]]:
    """Series -> place -> count; the series sorted, so that a category has one colour on the whole page."""
    places = dict.fromkeys((row[place] for row in rows), 0)
    made: dict[str, dict[Any, float]] = {name: {**places} for name in sorted({row[series] for row in rows})}
    for row in rows:
        made[row[series]][row[place]] = row[count]
    return made
