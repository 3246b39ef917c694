"""Tallies -> graded: every question's grades side by side, its level, and what the metrics say of them all.

The *book* has one row to a question and, by the place of a model, the columns ``rate_0``, ``cv_0``, ``low_0`` and ``high_0``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from stillhouse.artifacts.tables import PART_ROWS
from stillhouse.grading import tally
from stillhouse.grading.config import PassRateKind, SolvedShares
from stillhouse.grading.difficulty import DifficultyRecord
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.categories import CATEGORIES
from stillhouse.vocabulary.rows import Graded

if TYPE_CHECKING:
    import polars as pl


def grade(tallied: "pl.DataFrame", n_models: int, kind: PassRateKind, ddof: int) -> "pl.DataFrame":
    """Add to a tally with categories each model's pass rate, its interval, and the CV."""
    import polars as pl

    places = range(n_models)
    rates = {f"rate_{place}": tally.pass_rate(place, kind) for place in places}
    made = tallied.with_columns(
        **rates, **{f"cv_{place}": tally.coefficient_of_variation(place, ddof) for place in places}
    )  # fmt: skip
    bounds = {place: tally.wilson_interval(pl.col(f"rate_{place}"), pl.col(f"n_{place}")) for place in places}
    sides = {f"{side}_{place}": bound for place in places for side, bound in zip(("low", "high"), bounds[place], strict=True)}
    return made.with_columns(**sides)


def place_levels(book: "pl.DataFrame", roles: Mapping[str, int | None], shares: SolvedShares, seed: int) -> "pl.DataFrame":
    """Add level and discard_reason. ``roles``: the places of ``small``, ``medium``, ``reference`` and ``strongest``."""
    import polars as pl

    def rate(role: str) -> pl.Expr:
        return pl.lit(None, pl.Float64) if roles[role] is None else pl.col(f"rate_{roles[role]}")

    share = tally.by_category({category: getattr(shares, category, shares.other) for category in CATEGORIES})
    keep_solved = seeds.draws(seed, "level", pl.col("question_id")) < share
    never_solved = (rate("strongest") == 0).fill_null(value=False)
    level = tally.level(rate("small"), rate("medium"), rate("reference"), keep_solved)
    return book.with_columns(
        level=pl.when(~never_solved).then(level), discard_reason=pl.when(never_solved).then(pl.lit("never_solved"))
    )


def as_rows(book: "pl.DataFrame", models: Sequence[str]) -> "Iterator[pl.DataFrame]":
    """The rows of graded, a part at a time."""
    import polars as pl

    for part in book.iter_slices(PART_ROWS):
        grades_of = pl.Series("models", pl.from_arrow(_lists(part, models)))
        yield part.select("question_id", "category", grades_of, "level", "discard_reason")


def _lists(part: "pl.DataFrame", models: Sequence[str]) -> pa.Array:
    """Each question's grades as a list, without models that have no score. By array: polars' concat_list takes 15 times as long."""
    import numpy as np

    places = range(len(models))
    counts = part.select(f"n_{place}" for place in places).to_numpy()
    there = (counts > 0).ravel()

    def column(name: str, kind: pa.DataType) -> pa.Array:
        values = part.select(f"{name}_{place}" for place in places).to_numpy().ravel()[there]
        return pa.array(values, kind, from_pandas=True)

    numbers = [column(name, pa.int32() if name == "n" else pa.float64()) for name in ("n", "rate", "mean", "cv", "low", "high")]
    names = pa.DictionaryArray.from_arrays(np.tile(np.arange(len(models), dtype=np.int32), part.height)[there], list(models))
    kind = Graded.SCHEMA.field("models").type
    flat = pa.StructArray.from_arrays([names.cast(pa.string()), *numbers], fields=list(kind.value_type))
    offsets = np.concatenate([[0], (counts > 0).sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, flat, type=kind)


def difficulty(book: "pl.DataFrame", models: Sequence[str]) -> DifficultyRecord:
    """Count the questions by level, and by pass rate of each model."""
    import polars as pl

    levels = dict(book.filter(pl.col("discard_reason").is_null()).group_by("level").len().iter_rows())
    return DifficultyRecord(
        pass_rates={model: tally.histogram(book[f"rate_{place}"]) for place, model in enumerate(models)},
        levels={str(level or "none"): levels.get(level, 0) for level in (1, 2, 3, None)},
    )


def metrics(
    book: "pl.DataFrame", models: Sequence[str], roles: Mapping[str, int | None], ddof: int, record: DifficultyRecord
) -> dict[str, float]:
    """Levels, the histogram of pass rates and the mean CV by model, and how much of the CV is news beside the pass rate."""
    made = {f"n_level_{level}": float(count) for level, count in record.levels.items()}
    made["n_never_solved"] = float(book.height - sum(record.levels.values()))
    for role, place in roles.items():
        if place is not None:
            # Rules that ask for this model cannot speak of these questions.
            made[f"n_without_{role}"] = float(book[f"rate_{place}"].null_count())
    for place, model in enumerate(models):
        rates, spreads = book[f"rate_{place}"], book[f"cv_{place}"]
        made |= {f"n_pass_rate/{model}/{name}": float(count) for name, count in record.pass_rates[model].items()}
        made[f"pass_rate/{model}"] = _mean(rates)
        if spreads.count():
            made[f"cv/{model}"] = _mean(spreads)
            # For scores that are all or nothing the CV is sqrt((1 - p) / p * n / (n - ddof)): the pass rate p in other words.
            made[f"share_cv_follows_from_pass_rate/{model}"] = _mean(book.select(_follows(place, ddof)).to_series())
    return made


def _follows(place: int, ddof: int) -> "pl.Expr":
    """Whether a model's CV is that of binary scores with its pass rate; null where there is no CV."""
    import polars as pl

    rate, n, spread = (pl.col(f"{name}_{place}") for name in ("rate", "n", "cv"))
    return pl.when(spread.is_not_null()).then((spread - ((1 - rate) / rate * n / (n - ddof)).sqrt()).abs() < 1e-9).cast(pl.Float64)


def _mean(column: "pl.Series") -> float:
    return float(column.drop_nulls().mean() or 0.0)  # type: ignore[arg-type]
