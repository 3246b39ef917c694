"""Verdicts -> grades by the column: the formulas of ``grading`` as polars expressions, for tens of millions of verdicts.

A *tally* has one row to a question and, for every model by its place in a list, what the formulas need: ``n_0``, ``mean_0``,
``variance_0`` (divided by n) and ``passed_0``, the scores above the question's threshold. It takes one pass over the verdicts.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.artifacts import frames
from stillhouse.errors import BadRows
from stillhouse.grading.config import BINS, FLAT, SOLVED_FROM, PassRateKind, PassThresholds, Z, scale
from stillhouse.vocabulary.categories import CATEGORIES, Category
from stillhouse.vocabulary.rows import Question, Verified

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from stillhouse.grading.keys import Part, Seen

    Array = np.ndarray[Any, Any]

SPARSE = 16
"""Questions between a part's first and last, to a row, above which rows are added one by one."""


def asked(questions: Path, **columns: "pl.Expr") -> "pl.DataFrame":
    """Id, category and other columns of the questions, in order. Raises BadRows for an unknown category and for an id twice."""
    import polars as pl

    needed = sorted({"question_id", "category", *(name for each in columns.values() for name in each.meta.root_names())})
    found = frames.scan(questions, Question, needed).select("question_id", "category", **columns).collect(engine="streaming")
    unknown = sorted(set(found["category"].unique()) - set(CATEGORIES), key=str)
    if unknown:
        msg = f"questions: category {unknown[0]!r} is unknown; categories: {', '.join(CATEGORIES)}"
        raise BadRows(msg)
    if found["question_id"].n_unique() < found.height:
        twice = found.filter(pl.col("question_id").is_duplicated())["question_id"][0]
        msg = f"questions: {twice} is there twice; give one artifact, and each of its parts once"
        raise BadRows(msg)
    return found


def limits(thresholds: PassThresholds, questions: "pl.DataFrame") -> "Array":
    """Every question's pass threshold."""
    by_name = {category: float(getattr(thresholds, category)) for category in CATEGORIES}
    return questions.select(by_category(by_name)).to_series().to_numpy()


class Tally:
    """Sums of scores by question, of one model or of several. Rows may come in any order; that of the questions is fastest."""

    def __init__(self, limits: "Array") -> None:
        """``limits``: every question's pass threshold."""
        import numpy as np

        self._limits, n_questions = limits, len(limits)
        self._n, self._passed = np.zeros(n_questions, np.int32), np.zeros(n_questions, np.int32)
        self._sum, self._squares = np.zeros(n_questions), np.zeros(n_questions)

    def add(self, question: "Array", score: "Array") -> None:
        """Take the scores of rows on these questions; NaN is no score."""
        import numpy as np

        if np.isnan(score).any():
            question, score = question[~np.isnan(score)], score[~np.isnan(score)]
        if not len(score):
            return
        good = question[score > self._limits[question]]
        first, end = int(question.min()), int(question.max()) + 1
        if end - first > SPARSE * len(score):
            for column, places, values in ((self._n, question, 1), (self._passed, good, 1), (self._sum, question, score)):
                np.add.at(column, places, values)
            np.add.at(self._squares, question, score * score)
            return
        here, at = slice(first, end), question - first
        self._n[here] += np.bincount(at, minlength=end - first)
        self._passed[here] += np.bincount(good - first, minlength=end - first)
        self._sum[here] += np.bincount(at, score, end - first)
        self._squares[here] += np.bincount(at, score * score, end - first)

    @property
    def n_scores(self) -> int:
        """Scores that were taken."""
        return int(self._n.sum())

    def columns(self, place: int) -> "list[pl.Series]":
        """The columns of the tally of the model at this place."""
        import numpy as np
        import polars as pl

        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._sum / self._n
            # Rounded, so that the last bits do not say in which order scores were added.
            variance = np.maximum(self._squares / self._n - mean * mean, 0).round(12)
        made: dict[str, Array] = {"n": self._n, "mean": mean.round(12), "variance": variance, "passed": self._passed}
        return [pl.Series(f"{name}_{place}", column, nan_to_null=True) for name, column in made.items()]


def tally(parts: "Iterable[Part]", seen: "Seen", limits: "Array") -> "tuple[dict[int, Tally], set[str]]":
    """The tally of every model with a verdict, by its number, and the questions that only the verdicts name."""
    found: dict[int, Tally] = {}
    unknown: set[str] = set()
    for part in parts:
        seen.add(part)
        unknown.update(part.unknown)
        for model, at in part.by_model():
            if model not in found:
                found[model] = Tally(limits)
            found[model].add(part.question[at], part.value[at])  # type: ignore[index]
    return found, unknown


def refuse_duplicate(verified: Path) -> None:
    """Raise BadRows with the first key that has two verdicts."""
    import polars as pl

    verdicts = frames.scan(verified, Verified, Verified.KEY).filter(prompt_kind="question", round=1)
    twice = verdicts.group_by(Verified.KEY).len().filter(pl.col("len") > 1).sort(Verified.KEY).first()
    key = twice.collect(engine="streaming").row(0)
    where = "/".join(str(part) for part in key[:-1])
    msg = f"verified: {key[-1]} verdicts on response {where}; a response has one: give one artifact, and each of its parts once"
    raise BadRows(msg)


def pass_rate(place: int, kind: PassRateKind) -> "pl.Expr":
    """``grading.pass_rate`` of a tally's model; null without scores. Needs the column category."""
    import polars as pl

    if kind == "mean_score":
        return pl.col(f"mean_{place}") / by_category({category: scale(category) for category in CATEGORIES})
    return pl.when(pl.col(f"n_{place}") > 0).then(pl.col(f"passed_{place}") / pl.col(f"n_{place}"))


def by_category(values: Mapping[Category, float]) -> "pl.Expr":
    """The value of each row's category."""
    import polars as pl

    return pl.col("category").replace_strict(values, return_dtype=pl.Float64)


def coefficient_of_variation(place: int, ddof: int) -> "pl.Expr":
    """``grading.coefficient_of_variation`` of a tally's model."""
    import polars as pl

    n, mean = pl.col(f"n_{place}"), pl.col(f"mean_{place}")
    spread = (pl.col(f"variance_{place}") * n / (n - ddof)).sqrt() / mean
    return pl.when((n > ddof) & (mean != 0)).then(pl.when(spread.abs() < FLAT).then(0.0).otherwise(spread))


def wilson_interval(rate: "pl.Expr", n: "pl.Expr") -> "tuple[pl.Expr, pl.Expr]":
    """``grading.wilson_interval`` for at least one sample."""
    import polars as pl

    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (rate * (1 - rate) / n + Z**2 / (4 * n.cast(pl.Float64) ** 2)).sqrt()
    return pl.max_horizontal(0.0, pl.min_horizontal(rate, centre - half)), pl.min_horizontal(
        1.0, pl.max_horizontal(rate, centre + half)
    )


def level(small: "pl.Expr", medium: "pl.Expr", reference: "pl.Expr", keep_solved: "pl.Expr") -> "pl.Expr":
    """``grading.level`` of columns of pass rates, null where unknown."""
    import polars as pl

    at_times = (small > 0) & (small < 1)
    level_2 = (medium > 0) & ((small == 0) | (at_times & (medium < 1)))
    level_3 = (small == 0) & ((reference < SOLVED_FROM) | (keep_solved & reference.is_not_null()))
    return (
        pl.when(reference == 0).then(3)
        .when(small.is_null() | medium.is_null()).then(None)
        .when(level_2).then(2)
        .when(at_times).then(1)
        .when(level_3).then(3)
        .cast(pl.Int8)
    )  # fmt: skip


def histogram(rates: "pl.Series") -> dict[str, int]:
    """``grading.histogram`` of a column, nulls left out."""
    import polars as pl

    rate = pl.col(rates.name)
    place = pl.when((rate == 0) | (rate == 1)).then(rate * 4).otherwise((rate * 4 + 0.5).floor().clip(1, 3)).cast(pl.Int32)
    counts = dict(rates.drop_nulls().to_frame().group_by(place).len().iter_rows())
    return {name: counts.get(number, 0) for number, name in enumerate(BINS)}
