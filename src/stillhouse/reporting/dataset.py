"""The page of one selection: the rows left after each step, the questions' difficulty, and the examples' composition."""

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
"""Width of a bin of CVs, and the lower end of the last bin: four binary scores reach 2."""

PASS_RATES = "Every model's first-round responses, as graded (like Fig. 8 of DeepDistill)."
SPREADS = (
    "Coefficient of variation of the candidates' scores, by question. For binary scores it only restates the pass rate p of n "
    "responses: it equals sqrt((1 - p) / p * n / (n - ddof))."
)
LENGTHS = "Tokens of whole responses; words for splits that train on answers, summaries or original responses; none for RL."
SWEEP = "The responses that Algorithm 1 would keep with this CV threshold in every category, before caps and mixes."


@dataclass(frozen=True)
class Dataset:
    """The numbers of the page; those of inputs that the selection did not have are empty."""

    questions_left: list[tuple[str, int]]
    """Questions left after each step."""
    responses_left: list[tuple[str, int]] = field(default_factory=list)
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
    """Dropped questions and responses, by reason."""


def collect(
    selection: Selection, composition: Composition, dropped: Mapping[str, int], sweep: list[dict[str, Any]], graded: Path | None
) -> Dataset:
    """Count what the page shows. ``dropped``: rows by reason; ``sweep``: see ``Dataset``; ``graded``: the graded rows, if any."""
    questions_left = [("questions", selection.questions.height)]
    if selection.sft:
        questions_left += _questions_left(selection.sft)
    questions_left.append(("in a split", len(composition.used)))
    return Dataset(
        questions_left=questions_left,
        responses_left=_responses_left(selection.sft, dropped) if selection.sft else [],
        pass_rates=_pass_rates(graded) if graded else {},
        spreads=_spreads(selection.sft.choices) if selection.sft else {},
        composition=_with_shares(composition.table()),
        lengths=_lengths(composition),
        sweep=sweep,
        dropped=dropped,
    )


def _questions_left(sft: SftCandidates) -> list[tuple[str, int]]:
    choices = sft.choices
    solved = choices.filter(pl.col("reason").is_null() | pl.col("reason").is_in(["easy", "cv_undefined"]))
    return [
        ("with a candidate response", choices.height), ("with one that passes", solved.height),
        ("kept by Algorithm 1", choices["reason"].null_count()), ("of these challenging", int(choices["challenging"].sum())),
    ]  # fmt: skip


def _responses_left(sft: SftCandidates, dropped: Mapping[str, int]) -> list[tuple[str, int]]:
    """Count backwards from the candidates: a step's responses are the next step's plus those dropped between the two."""
    left = [("candidates: with a score", int(sft.choices["n"].sum()))]
    steps = (("not screened out", "no_verdict"), ("the teacher's", "screened_out"), ("first-round responses", "other_model"))
    for name, reason in steps:
        left.append((name, left[-1][1] + dropped.get(reason, 0)))
    kept = sft.passing.height + int(sft.failing.sum())
    return [*reversed(left), ("to questions kept by Algorithm 1", kept), ("that pass", sft.passing.height)]


def _pass_rates(graded: Path) -> Counts:
    rates = frames.scan(graded, Graded, ("models",)).explode("models").unnest("models").select("model", "pass_rate")
    by_model = rates.collect(engine="streaming").drop_nulls().partition_by("model", as_dict=True)
    return {str(model): dict(tally.histogram(of_model["pass_rate"])) for (model,), of_model in sorted(by_model.items())}


def _spreads(choices: pl.DataFrame) -> Counts:
    cv_bin = (pl.col("cv") / CV_BIN + 1e-9).floor().clip(0, CV_LAST / CV_BIN).cast(pl.Int32)
    counts = choices.filter(pl.col("cv").is_not_null()).group_by("category", bin=cv_bin).len()
    return _filled(counts, lambda index: f"{index * CV_BIN:.1f}")


def _lengths(composition: Composition) -> Counts:
    return _filled(composition.lengths(), lambda power: f"{2**power:,} to {2 ** (power + 1) - 1:,}")


def _filled(table: pl.DataFrame, bin_name: Callable[[int], str]) -> Counts:
    """Rows of series, index of a bin, and count -> series -> bin -> count, with 0 for empty bins between the first and the last."""
    if not table.height:
        return {}
    series, indices = table.columns[:2]
    bins = range(table[indices].min(), table[indices].max() + 1)  # type: ignore[arg-type, operator]
    counts: Counts = {name: {bin_name(index): 0.0 for index in bins} for name in sorted(table[series].unique())}
    for name, index, count in table.iter_rows():
        counts[name][bin_name(index)] = count
    return counts


def _with_shares(table: pl.DataFrame) -> list[dict[str, Any]]:
    shares = {f"{name}_share": pl.col(name) / pl.col(name).sum().over("split") for name in ("n_examples", "length")}
    return table.with_columns(**shares).fill_nan(None).to_dicts()


def write_dataset(path: Path, title: str, dataset: Dataset) -> None:
    """Write the page."""
    shown = [("Questions, step by step", "", charts.funnel(dataset.questions_left))]
    if dataset.responses_left:
        shown.append(("Responses, step by step", "", charts.funnel(dataset.responses_left)))
    if dataset.pass_rates:
        shown.append(("Pass rates", PASS_RATES, charts.bars(dataset.pass_rates, "pass rate", "questions")))
    if dataset.spreads:
        shown.append(("Spread of scores", SPREADS, charts.bars(dataset.spreads, "CV from", "questions", stacked=True)))
    for measure, column, note in (("examples", "n_examples", ""), ("length", "length", LENGTHS)):
        counts = _pivot(dataset.composition, "category", "split", column)
        shown.append((f"Composition by {measure}", note, charts.bars(counts, "split", measure, stacked=True)))
    if dataset.lengths:
        shown.append(("Lengths", LENGTHS, charts.bars(dataset.lengths, "length", "examples")))
    if dataset.sweep:
        counts = _pivot(dataset.sweep, "category", "cv_threshold", "n_responses")
        shown.append(("Responses kept, by CV threshold", SWEEP, charts.lines(counts, "CV threshold", "responses kept")))
    write_page(path, "dataset.html.j2", title=title, dataset=dataset, charts=shown)


def _pivot(rows: list[dict[str, Any]], series: str, x: str, y: str) -> dict[str, dict[Any, float]]:
    """Values of ``series`` -> of ``x`` -> of ``y``; the series are sorted, so that a category keeps its colour on the page."""
    empty = dict.fromkeys((row[x] for row in rows), 0)
    values: dict[str, dict[Any, float]] = {name: {**empty} for name in sorted({row[series] for row in rows})}
    for row in rows:
        values[row[series]][row[x]] = row[y]
    return values
