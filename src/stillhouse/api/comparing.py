"""pass@1 with its interval, and the paired difference of two reports."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.benchmarks import intervals
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import Outcomes, read_outcomes
from stillhouse.benchmarks.paired import PairedDifference, differences
from stillhouse.errors import BadRows, MissingInput, NothingToDo

APART = ("benchmark", "protocol", "round", "model", "prompt_kind")
"""Columns that must have one value only: samples of different models or rounds are not averaged."""
COMPARED_SCHEMA = {
    "benchmark": pl.String, "round": pl.Int32, "questions": pl.Int64, "pass_at_1_a": pl.Float64, "pass_at_1_b": pl.Float64,
    "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip


def pass_at_1(passed: pl.DataFrame | Iterable[bool] | Iterable[Sequence[bool]]) -> Interval:
    """pass@1 between 0 and 1 with its 95 % interval: the mean over questions of the mean over each question's samples.

    Args:
        passed: A frame with ``question_id`` and ``passed``, as ``verify`` and ``read`` return it, of one model and one round; or
            one list of booleans per question; or one boolean per question. Null, where the verifier failed, is left out.

    Returns:
        ``Interval(mean, low, high)``, from a bootstrap over questions (see ``benchmarks.intervals``).

    Raises:
        NothingToDo: No sample was verified.
        BadRows: The frame lacks a column, or mixes models, benchmarks or rounds.
        TypeError: ``passed`` is neither a frame nor booleans.
    """
    if isinstance(passed, pl.DataFrame):
        return intervals.pass_at_1(list(_by_question(_one_group(passed)).values()))
    return intervals.pass_at_1(list(_samples(passed)))


def compare(a: str | Path, b: str | Path) -> pl.DataFrame:
    """Compare two reports on the questions that both measured under the same protocol.

    Args:
        a: URI of a report.
        b: URI of the report to compare with.

    Returns:
        One row per benchmark and round: ``questions`` that both have, ``pass_at_1_a``, ``pass_at_1_b``, and ``difference`` (a minus
        b) with its paired 95 % interval ``low`` to ``high``.

    Raises:
        MissingInput: Nothing is published there, or it is not a report.
        NothingToDo: The reports share no benchmark under the same protocol.
    """
    ours, theirs = _report(a), _report(b)
    rows = [_row(difference, ours, theirs) for difference in differences(ours, theirs)]
    if not rows:
        msg = f"{a} and {b} share no question of a benchmark under one protocol; measure both with the same report config"
        raise NothingToDo(msg)
    return pl.DataFrame(rows, COMPARED_SCHEMA, orient="row")


def _report(uri: str | Path) -> Outcomes:
    stage = manifests.load(store.absolute(str(uri))).stage
    if stage != "report":
        msg = f"{uri} is a {stage} artifact; give a report"
        raise MissingInput(msg)
    return read_outcomes(str(uri))


def _row(difference: PairedDifference, ours: Outcomes, theirs: Outcomes) -> tuple[Any, ...]:
    mine, others = (outcomes.benchmarks[difference.benchmark].rounds[difference.number].passed for outcomes in (ours, theirs))
    shared = sorted(mine.keys() & others.keys())
    means = (intervals.pass_at_1([passed[question] for question in shared]).mean for passed in (mine, others))
    interval = difference.interval
    return difference.benchmark, difference.number, len(shared), *means, interval.mean, interval.low, interval.high


def _one_group(frame: pl.DataFrame) -> pl.DataFrame:
    missing = sorted({"question_id", "passed"} - set(frame.columns))
    if missing:
        msg = f"passed: no column {', '.join(missing)}; got {', '.join(frame.columns)}; give the frame of verify, or of a report"
        raise BadRows(msg)
    for column in APART:
        if column in frame.columns and frame[column].n_unique() > 1:
            values = ", ".join(map(str, frame[column].unique().sort().head(3)))
            msg = f"passed: {frame[column].n_unique()} values of {column} ({values}); filter to one, or group by it first"
            raise BadRows(msg)
    return frame


def _by_question(frame: pl.DataFrame) -> dict[str, list[bool]]:
    """The verified samples of each question."""
    verified = frame.filter(pl.col("passed").is_not_null())
    return dict(verified.group_by("question_id", maintain_order=True).agg("passed").iter_rows())


def _samples(passed: Iterable[Any]) -> Iterator[list[bool]]:
    if isinstance(passed, str) or not isinstance(passed, Iterable):
        msg = f"passed: a {type(passed).__name__}; give a frame with question_id and passed, or booleans by question"
        raise TypeError(msg)
    for number, question in enumerate(passed):
        samples = [question] if question is None or isinstance(question, bool) else list(question)
        if wrong := next((sample for sample in samples if sample is not None and not isinstance(sample, bool)), None):
            msg = f"passed: question {number} has {wrong!r}, not a boolean; give True or False for each sample"
            raise TypeError(msg)
        if verified := [sample for sample in samples if sample is not None]:
            yield verified
