"""Verdicts -> tally -> grades: the formulas of grading as polars expressions, for tens of millions of verdicts.

A *tally* has one row per question and, for every model, the sums that the formulas need (see ``model_columns``). Building it takes
one pass over the verdicts.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.artifacts import frames
from stillhouse.errors import BadRows
from stillhouse.grading import model_columns
from stillhouse.grading.config import PassRateKind
from stillhouse.grading.keys import Part, Seen
from stillhouse.grading.model_columns import Fact
from stillhouse.grading.thresholds import StatedThresholds
from stillhouse.vocabulary.categories import CATEGORIES, SCALES, Category
from stillhouse.vocabulary.rows import Question, Verified
from stillhouse.vocabulary.statistics import Z

VERDICT_COLUMNS = ("verify_score", "passed", "threshold")
"""The columns of a verdict, beside its key, that grading and selection read."""
SPARSE = 16
"""If a part's rows span more than this many questions per row, add them one by one instead of by bincount."""
DIGITS = 10
"""Significant digits of a variance: the order in which scores are added shows in the last ones of a float."""
BINS = ("0", "0.25", "0.5", "0.75", "1")
"""Bins of pass rates: the values that four responses can give (DeepDistill, Fig. 8)."""


def question_table(questions: Path, **columns: pl.Expr) -> pl.DataFrame:
    """Id, category and further columns of the questions, in order. Raises BadRows for an unknown category or a duplicate id."""
    needed = sorted({"question_id", "category", *(name for column in columns.values() for name in column.meta.root_names())})
    table = frames.scan(questions, Question, needed).select("question_id", "category", **columns).collect(engine="streaming")
    unknown = sorted(set(table["category"].unique()) - set(CATEGORIES), key=str)
    if unknown:
        msg = f"questions: category {unknown[0]!r} is unknown; categories: {', '.join(CATEGORIES)}"
        raise BadRows(msg)
    refuse_duplicate_question("questions", table["question_id"])
    return table


def refuse_duplicate_question(artifact: str, ids: pl.Series) -> None:
    """Raise BadRows with the first question_id that stands twice in the artifact."""
    if ids.n_unique() < len(ids):
        msg = f"{artifact}: duplicate question_id {ids.filter(ids.is_duplicated())[0]}; pass one artifact, each part once"
        raise BadRows(msg)


class ScoreTally:
    """Sums of scores by question, of one model or of several. Rows may come in any order; that of the questions is fastest.

    Sums are of the differences from one of the question's scores: differences of close scores are exact in floating point, so
    that neither sum nor variance loses digits, and equal scores have a variance of exactly 0.
    """

    def __init__(self, n_questions: int) -> None:
        self._n, self._passed = np.zeros(n_questions, np.int32), np.zeros(n_questions, np.int32)
        self._origin, self._sum, self._squares = np.zeros(n_questions), np.zeros(n_questions), np.zeros(n_questions)

    def add(
        self, question: npt.NDArray[np.int32], score: npt.NDArray[np.float64], passed: npt.NDArray[np.bool_]
    ) -> None:  # fmt: skip
        """Take verdicts, all arrays (n_verdicts,): question indices, scores with NaN for none, and whether each passed."""
        scored = ~np.isnan(score)
        if not scored.all():
            question, score, passed = question[scored], score[scored], passed[scored]
        if not len(score):
            return
        new = self._n[question] == 0
        self._origin[question[new]] = score[new]
        difference = score - self._origin[question]
        first, end = int(question.min()), int(question.max()) + 1
        if end - first > SPARSE * len(score):
            sums = ((self._n, question, 1), (self._passed, question[passed], 1), (self._sum, question, difference))
            for total, indices, values in sums:
                np.add.at(total, indices, values)
            np.add.at(self._squares, question, difference * difference)
            return
        span, offset = slice(first, end), question - first
        self._n[span] += np.bincount(offset, minlength=end - first)
        self._passed[span] += np.bincount(offset[passed], minlength=end - first)
        self._sum[span] += np.bincount(offset, difference, end - first)
        self._squares[span] += np.bincount(offset, difference * difference, end - first)

    @property
    def n_scores(self) -> int:
        """Verdicts with a score."""
        return int(self._n.sum())

    def columns(self, model: int) -> list[pl.Series]:
        """The columns of the tally, named for the model with this index."""
        with np.errstate(invalid="ignore", divide="ignore"):
            difference = self._sum / self._n
            mean = (self._origin + difference).round(12)
            variance = _rounded(np.maximum(self._squares / self._n - difference * difference, 0))
        values: dict[Fact, npt.NDArray[np.int32] | npt.NDArray[np.float64]] = {
            "n": self._n, "mean": mean, "variance": variance, "passed": self._passed,
        }  # fmt: skip
        return [pl.Series(model_columns.name(fact, model), column, nan_to_null=True) for fact, column in values.items()]


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values, (n_values,), none negative, to ``DIGITS`` significant digits; NaN stays."""
    positive = np.flatnonzero(values > 0)
    unit = 10.0 ** (np.floor(np.log10(values[positive])) - DIGITS + 1)
    rounded = values.copy()
    rounded[positive] = np.round(values[positive] / unit) * unit
    return rounded


def tally_by_model(
    parts: Iterable[Part], n_questions: int, seen: Seen, thresholds: StatedThresholds
) -> tuple[dict[int, ScoreTally], set[str]]:
    """The tally of every model with a verdict, by the model's code, and the ids that are not among the questions.

    Notes all keys in ``seen`` and all thresholds in ``thresholds``, which refuses a second one for a category (BadRows).
    """
    tallies: dict[int, ScoreTally] = {}
    unknown: set[str] = set()
    for part in parts:
        seen.add(part)
        unknown.update(part.unknown)
        score, passed, threshold = (part.values[name] for name in VERDICT_COLUMNS)
        thresholds.add("verified", part.question, threshold)
        for model, rows in part.by_model():
            if model not in tallies:
                tallies[model] = ScoreTally(n_questions)
            tallies[model].add(part.question[rows], score[rows], passed[rows])
    return tallies, unknown


def refuse_duplicate_verdict(verified: Path) -> None:
    """Raise BadRows with the first key that has two verdicts."""
    verdicts = frames.scan(verified, Verified, Verified.KEY).filter(prompt_kind="question", round=1)
    twice = verdicts.group_by(Verified.KEY).len().filter(pl.col("len") > 1).sort(Verified.KEY).first()
    *key, n = twice.collect(engine="streaming").row(0)
    where = "/".join(map(str, key))
    msg = f"verified: {n} verdicts on response {where}; a response has one: pass one artifact, each part once"
    raise BadRows(msg)


def by_category(values: Mapping[Category, float]) -> pl.Expr:
    """The value of each row's category."""
    return pl.col("category").replace_strict(values, return_dtype=pl.Float64)


def pass_rate(model: int, kind: PassRateKind) -> pl.Expr:
    """The share of responses that passed (DeepDistill §2.4.2), or the mean score over the scale's top (its dataset card).

    Null without scores. ``mean_score`` needs the column category.
    """
    if kind == "mean_score":
        return model_columns.col("mean", model) / by_category(SCALES)
    n = model_columns.col("n", model)
    return pl.when(n > 0).then(model_columns.col("passed", model) / n)


def coefficient_of_variation(model: int, ddof: int) -> pl.Expr:
    """σ/μ of the scores of one question (DeepDistill §3, Eq. 6).

    ``ddof=0`` is the printed formula, ``ddof=1`` gives the paper's worked examples. Null where it is undefined: for a mean of 0, or
    for at most ``ddof`` scores.
    """
    n, mean = model_columns.col("n", model), model_columns.col("mean", model)
    cv = (model_columns.col("variance", model) * n / (n - ddof)).sqrt() / mean
    return pl.when((n > ddof) & (mean != 0)).then(cv)


def wilson_bounds(rate: pl.Expr, n: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """``vocabulary.statistics.wilson_interval`` by the column, for at least one sample."""
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (rate * (1 - rate) / n + Z**2 / (4 * n.cast(pl.Float64) ** 2)).sqrt()
    low = pl.max_horizontal(0.0, pl.min_horizontal(rate, centre - half))
    return low, pl.min_horizontal(1.0, pl.max_horizontal(rate, centre + half))


def histogram(rates: pl.Series) -> dict[str, int]:
    """How many pass rates lie nearest to each of BINS, nulls left out; the outer bins take rates of exactly 0 and 1 alone."""
    rate = pl.col(rates.name)
    index = pl.when((rate == 0) | (rate == 1)).then(rate * 4).otherwise((rate * 4 + 0.5).floor().clip(1, 3)).cast(pl.Int32)
    counts = dict(rates.drop_nulls().to_frame().group_by(index).len().iter_rows())
    return {name: counts.get(number, 0) for number, name in enumerate(BINS)}
