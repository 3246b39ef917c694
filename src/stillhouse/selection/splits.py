"""Choices and grades -> splits: the responses or questions of each training stage, by key, without texts."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from stillhouse.grading import thresholds
from stillhouse.selection import algorithm_1
from stillhouse.selection.config import Levels, SelectedConfig, SplitLimits
from stillhouse.selection.context import Context
from stillhouse.vocabulary.categories import CATEGORIES, Category
from stillhouse.vocabulary.rows import Mode


@dataclass(frozen=True)
class Split:
    """One split. ``rows`` are responses, with their ``row`` among all responses, or questions; all have a ``threshold``."""

    name: str
    mode: Mode
    rows: pl.DataFrame


def of_responses(config: SelectedConfig, context: Context, passing: pl.DataFrame) -> list[Split]:
    """The splits of Algorithm 1 and of the annealing selection.

    In mode original a question gives one example, however many of its responses passed.
    """
    splits = []
    if config.mode == "original":
        passing = passing.unique("question", keep="first", maintain_order=True)
    if config.sft_split:
        splits.append(_split(context, config.sft_split, config.mode, passing, "question_id", "model", "sample_index"))
    if config.anneal_split:
        splits.append(_split(context, config.anneal_split, config.mode, algorithm_1.annealing(passing, context)))
    return splits


def of_questions(
    config: SelectedConfig, context: Context, questions: pl.DataFrame, grades: pl.DataFrame | None
) -> list[Split]:  # fmt: skip
    """The RL splits, and those of original responses."""
    splits = []
    if config.rl_splits and grades is not None:
        graded = questions.hstack(grades.select("level"))
        for name, levels in config.rl_splits.items():
            splits.append(_split(context, name, "full", graded.filter(_on(levels)), "question_id"))
    for name, source in config.original_splits.items():
        of_source = questions.filter(pl.col("has_original"), source=source)
        splits.append(_split(context, name, "original", of_source, "question_id"))
    return splits


def _on(levels: Levels | Mapping[Category, Levels]) -> pl.Expr:
    """Whether a question is on one of the levels that the split takes of its category."""
    by_category = levels if isinstance(levels, Mapping) else dict.fromkeys(CATEGORIES, levels)
    return pl.any_horizontal(
        *((pl.col("category") == category) & pl.col("level").is_in(wanted) for category, wanted in by_category.items())
    )


def _split(context: Context, name: str, mode: Mode, rows: pl.DataFrame, *key: str) -> Split:
    """The split of these rows, within its limits: by ``rank`` or, where a key is named, by a draw."""
    rows = rows.with_columns(thresholds.column(context.pass_thresholds))
    limits = context.limits.get(name)
    if limits is None:
        return Split(name, mode, rows)
    ranked = rows.with_columns(rank=context.draw(f"limit/{name}", *key)) if key else rows
    return Split(name, mode, limited(ranked, limits))


def limited(examples: pl.DataFrame, limits: SplitLimits) -> pl.DataFrame:
    """The examples within a split's limits, first those of the lowest ``rank``."""
    available = dict(examples.group_by("category").len().iter_rows())
    quota = pl.col("category").replace_strict(quotas(available, limits), default=0, return_dtype=pl.Int64)
    kept = examples.filter(pl.col("rank").rank("ordinal").over("category") <= quota) if available else examples
    # The quotas of a mix include its size: another cut would spoil the mix.
    return kept if limits.size is None or limits.mix else kept.sort("rank").head(limits.size)


def quotas(available: Mapping[Category, int], limits: SplitLimits) -> dict[Category, int]:
    """How many of the available examples of each category a split takes. A size without a mix cuts the whole ranking instead."""
    capped = {category: min(count, limits.caps.get(category, count)) for category, count in available.items()}
    if not limits.mix:
        return capped
    unit = min(capped.get(category, 0) / weight for category, weight in limits.mix.items())
    if limits.size is not None:
        unit = min(unit, limits.size / sum(limits.mix.values()))
    # The scarcest category's quota is a whole number that division and multiplication may miss by a rounding error.
    return {category: int(unit * weight + 1e-9) for category, weight in limits.mix.items()}
