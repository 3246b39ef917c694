"""Verdicts -> grades by the column: the formulas of ``grading`` as polars expressions, for tens of millions of verdicts.

A *tally* has one row to a question and, for every model by its place in a list, what the formulas need: ``n_0``, ``mean_0``,
``variance_0`` (divided by n) and ``passed_0_0``, the scores above the first of the thresholds. It takes one pass over the verdicts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse import frames
from stillhouse.errors import BadRows
from stillhouse.grading import BINS, FLAT, SOLVED_FROM, PassRateKind, PassThresholds, Z, scale
from stillhouse.rows import CATEGORIES, Question, Verified

if TYPE_CHECKING:
    import polars as pl


def asked(questions: Path, **columns: "pl.Expr") -> "pl.DataFrame":
    """Id, category and other columns of the questions, in order. Raises BadRows for an unknown category and for an id twice."""
    import polars as pl

    needed = sorted({"question_id", "category", *(name for each in columns.values() for name in each.meta.root_names())})
    found = frames.scan(questions, Question, needed).select("question_id", "category", **columns).collect(engine="streaming")
    unknown = sorted(set(found["category"].unique()) - set(CATEGORIES))
    if unknown:
        msg = f"questions: category {unknown[0]!r} is unknown; categories: {', '.join(CATEGORIES)}"
        raise BadRows(msg)
    if found["question_id"].n_unique() < found.height:
        twice = found.filter(pl.col("question_id").is_duplicated())["question_id"][0]
        msg = f"questions: {twice} is there twice; give one artifact, and each of its parts once"
        raise BadRows(msg)
    return found


def limits(thresholds: PassThresholds, questions: "pl.DataFrame") -> list[float]:
    """The different pass thresholds of the questions' categories, ascending."""
    return sorted({float(getattr(thresholds, category)) for category in questions["category"].unique()})


def tally(verdicts: "pl.LazyFrame", models: Sequence[str | None], above: Sequence[float]) -> "pl.DataFrame":
    """Sum up verdicts by question. A model None stands for all models at once.

    ``verdicts``: columns of Verified's key and verify_score. Raises BadRows for two verdicts under one key.
    """
    import polars as pl

    score = pl.col("verify_score")
    scores = {
        f"score_{place}": score if model is None else pl.when(pl.col("model") == model).then(score)
        for place, model in enumerate(models)
    }
    sums = [each for place in range(len(models)) for each in _sums(place, above)]
    # Of all verdicts: models without a score have keys too.
    known = verdicts.select(pl.col("model").unique().sort()).collect(engine="streaming").to_series()
    code = pl.col("model").replace_strict(known, pl.Series(range(len(known))), return_dtype=pl.Int64)
    # One integer holds what is left of the key once question and kind are known: counting integers takes little time.
    rest = code * 2**48 + pl.col("round").cast(pl.Int64) * 2**32 + pl.col("sample_index")
    found = (
        verdicts.with_columns(**scores, rest=rest)
        .group_by("question_id")
        .agg(*sums, n_rows=pl.len(), n_keys=pl.col("rest").n_unique())
        .collect(engine="streaming")
    )
    twice = found.filter(pl.col("n_rows") > pl.col("n_keys"))
    if twice.height:
        _refuse_duplicate(verdicts, str(twice["question_id"].min()))
    return found.drop("n_rows", "n_keys")


def _sums(place: int, above: Sequence[float]) -> "list[pl.Expr]":
    import polars as pl

    score = pl.col(f"score_{place}")
    passed = [(score > limit).sum().cast(pl.UInt32).alias(f"passed_{place}_{number}") for number, limit in enumerate(above)]
    # Sums come in whatever order threads finish: rounded, so that the last bits do not say which.
    return [
        score.count().cast(pl.Int32).alias(f"n_{place}"), score.mean().round(12).alias(f"mean_{place}"),
        score.var(ddof=0).round(12).alias(f"variance_{place}"), *passed,
    ]  # fmt: skip


def _refuse_duplicate(verdicts: "pl.LazyFrame", question_id: str) -> None:
    import polars as pl

    of_question = verdicts.filter(pl.col("question_id") == question_id).group_by(Verified.KEY).len()
    key = of_question.filter(pl.col("len") > 1).sort(Verified.KEY).first().collect().row(0)
    where = "/".join(str(part) for part in key[:-1])
    msg = f"verified: {key[-1]} verdicts on response {where}; a response has one: give one artifact, and each of its parts once"
    raise BadRows(msg)


def pass_rate(place: int, thresholds: PassThresholds, above: Sequence[float], kind: PassRateKind) -> "pl.Expr":
    """``grading.pass_rate`` of a tally's model; null without scores. Needs the column category."""
    import polars as pl

    mean = pl.col(f"mean_{place}")
    if kind == "mean_score":
        return mean / by_category({category: scale(category) for category in CATEGORIES})
    limit = by_category({category: getattr(thresholds, category) for category in CATEGORIES})
    passed = pl.coalesce(pl.when(limit == each).then(pl.col(f"passed_{place}_{number}")) for number, each in enumerate(above))
    return pl.when(pl.col(f"n_{place}") > 0).then(passed / pl.col(f"n_{place}"))


def by_category(values: Mapping[str, float]) -> "pl.Expr":
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
