"""Tally -> graded: all models' grades of every question side by side, the question's level, and the metrics of a run.

The *grades table* has one row per question; ``model_columns`` names and types the columns that it has once per model.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from stillhouse.artifacts.tables import PART_ROWS
from stillhouse.grading import model_columns, tally
from stillhouse.grading.config import PassRateKind, Role
from stillhouse.grading.difficulty import DifficultyRecord
from stillhouse.grading.model_columns import Fact
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Graded

MASTERED = "mastered"
SOLVED_FROM = 0.5
"""Pass rate from which the reference model counts as solving a question that it sometimes fails. Ours: the paper gives none."""
LISTED: dict[Fact, pa.DataType] = {
    "n": pa.int32(), "rate": pa.float64(), "mean": pa.float64(), "cv": pa.float64(), "low": pa.float64(), "high": pa.float64(),
}  # fmt: skip
"""The facts of a ``ModelGrade``, in its order."""


def grades_table(tallied: pl.DataFrame, n_models: int, kind: PassRateKind, ddof: int) -> pl.DataFrame:
    """Add to a tally with categories each model's pass rate, the rate's interval, and the CV."""
    rates = {model_columns.name("rate", model): tally.pass_rate(model, kind) for model in range(n_models)}
    spreads = {model_columns.name("cv", model): tally.coefficient_of_variation(model, ddof) for model in range(n_models)}
    bounds: dict[str, pl.Expr] = {}
    for model in range(n_models):
        low, high = tally.wilson_bounds(model_columns.col("rate", model), model_columns.col("n", model))
        bounds |= {model_columns.name("low", model): low, model_columns.name("high", model): high}
    return tallied.with_columns(**rates, **spreads).with_columns(**bounds)


def with_levels(
    grades: pl.DataFrame, roles: Mapping[Role, int | None], solved_share: Mapping[Category, float], seed: int,
    learner: int | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Add level and discard_reason to a grades table.

    ``roles``: the index of the model in each role, None without a model. ``learner``: that of the model whose mastered questions
    are discarded.
    """

    def rate(role: Role) -> pl.Expr:
        model = roles[role]
        return pl.lit(None, pl.Float64) if model is None else model_columns.col("rate", model)

    keep_solved = seeds.draws(seed, "level", pl.col("question_id")) < tally.by_category(solved_share)
    never_solved = (rate("strongest") == 0).fill_null(value=False)
    mastered = pl.lit(value=False) if learner is None else (model_columns.col("rate", learner) == 1).fill_null(value=False)
    level = level_of(rate("small"), rate("medium"), rate("reference"), keep_solved)
    return grades.with_columns(
        level=pl.when(~never_solved & ~mastered).then(level),
        discard_reason=pl.when(never_solved).then(pl.lit("never_solved")).when(mastered).then(pl.lit(MASTERED)),
    )


def level_of(small: pl.Expr, medium: pl.Expr, reference: pl.Expr, keep_solved: pl.Expr) -> pl.Expr:
    """The difficulty level 1, 2 or 3 from three pass rates; null for a question outside all levels (Staged RL §3.2.1).

    A rate is null where unknown. ``keep_solved`` is the seeded draw that keeps part of what the reference model solves. The paper's
    rules overlap and leave gaps; ours apply in this order:

    - 3 if the reference model fails every time;
    - 2 by the paper's three clauses: small fails and medium solves it always or sometimes, or both solve it sometimes;
    - 1 if small solves it sometimes (and medium always or never);
    - 3 if small and medium fail and the reference model's rate is below one half, or else if ``keep_solved``.
    """
    sometimes = (small > 0) & (small < 1)
    level_2 = (medium > 0) & ((small == 0) | (sometimes & (medium < 1)))
    level_3 = (small == 0) & ((reference < SOLVED_FROM) | (keep_solved & reference.is_not_null()))
    return (
        pl.when(reference == 0).then(3)
        .when(small.is_null() | medium.is_null()).then(None)
        .when(level_2).then(2)
        .when(sometimes).then(1)
        .when(level_3).then(3)
        .cast(pl.Int8)
    )  # fmt: skip


def as_rows(grades: pl.DataFrame, models: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The rows of graded, a part at a time."""
    for part in grades.iter_slices(PART_ROWS):
        model_grades = pl.Series("models", pl.from_arrow(_model_grades(part, models)))
        yield part.select("question_id", "category", model_grades, "level", "discard_reason", "threshold")


def _model_grades(part: pl.DataFrame, models: Sequence[str]) -> pa.Array:
    """Each question's list of ModelGrade, without models that have no score. Arrays: polars' concat_list takes 15 times as long."""
    indices = range(len(models))
    counts = part.select(model_columns.name("n", model) for model in indices).to_numpy()
    has_score = (counts > 0).ravel()

    def column(fact: Fact, dtype: pa.DataType) -> pa.Array:
        values = part.select(model_columns.name(fact, model) for model in indices).to_numpy().ravel()[has_score]
        return pa.array(values, dtype, from_pandas=True)

    numbers = [column(fact, dtype) for fact, dtype in LISTED.items()]
    codes = np.tile(np.arange(len(models), dtype=np.int32), part.height)[has_score]
    names = pa.DictionaryArray.from_arrays(codes, list(models)).cast(pa.string())
    list_type = Graded.SCHEMA.field("models").type
    flat = pa.StructArray.from_arrays([names, *numbers], fields=list(list_type.value_type))
    offsets = np.concatenate([[0], (counts > 0).sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, flat, type=list_type)


def difficulty(grades: pl.DataFrame, models: Sequence[str]) -> DifficultyRecord:
    """Count the questions by level, and by each model's pass rate."""
    levels = dict(grades.filter(pl.col("discard_reason").is_null()).group_by("level").len().iter_rows())
    return DifficultyRecord(
        pass_rates={name: tally.histogram(grades[model_columns.name("rate", model)]) for model, name in enumerate(models)},
        levels={str(level or "none"): levels.get(level, 0) for level in (1, 2, 3, None)},
    )


def metrics(
    grades: pl.DataFrame, models: Sequence[str], roles: Mapping[Role, int | None], ddof: int, record: DifficultyRecord
) -> dict[str, float]:
    """Counts by level; by model the histogram of pass rates, the mean CV, and how often the CV only restates the pass rate."""
    numbers = {f"n_level_{level}": float(count) for level, count in record.levels.items()}
    reasons = grades["discard_reason"].drop_nulls()
    numbers["n_never_solved"] = float((reasons == "never_solved").sum())
    if (reasons == MASTERED).any():
        numbers["n_mastered"] = float((reasons == MASTERED).sum())
    for role, model in roles.items():
        if model is not None:
            # Rules that need this model say nothing about these questions.
            numbers[f"n_without_{role}"] = float(grades[model_columns.name("rate", model)].null_count())
    for model, name in enumerate(models):
        rates, spreads = (grades[model_columns.name(fact, model)] for fact in ("rate", "cv"))
        numbers |= {f"n_pass_rate/{name}/{rate}": float(count) for rate, count in record.pass_rates[name].items()}
        numbers[f"pass_rate/{name}"] = _mean(rates)
        if spreads.count():
            numbers[f"cv/{name}"] = _mean(spreads)
            numbers[f"share_cv_follows_from_pass_rate/{name}"] = _mean(grades.select(_cv_follows(model, ddof)).to_series())
    return numbers


def _cv_follows(model: int, ddof: int) -> pl.Expr:
    """Whether a model's CV is that of binary scores with its pass rate p, sqrt((1 - p) / p * n / (n - ddof)); null without a CV."""
    rate, n, spread = (model_columns.col(fact, model) for fact in ("rate", "n", "cv"))
    binary = ((1 - rate) / rate * n / (n - ddof)).sqrt()
    return pl.when(spread.is_not_null()).then((spread - binary).abs() < 1e-9).cast(pl.Float64)


def _mean(column: pl.Series) -> float:
    """The mean without nulls; 0 for a column of nulls."""
    mean = column.cast(pl.Float64).drop_nulls().mean()
    return mean if isinstance(mean, float) else 0.0
