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
    """One split, or the candidates for it. ``rows`` are responses, with their ``row`` among all responses, or questions."""

    name: str
    mode: Mode
    rows: pl.DataFrame


def of_responses(config: SelectedConfig, context: Context, passing: pl.DataFrame) -> list[Split]:
    """The candidates for the splits of Algorithm 1 and of the annealing selection.

    In mode original a question gives one example, however many of its responses passed.
    """
    splits = []
    if config.mode == "original":
        passing = passing.unique("question", keep="first", maintain_order=True)
    if config.sft_split:
        splits.append(_drawn(context, config.sft_split, config.mode, passing, "question_id", "model", "sample_index"))
    if config.anneal_split:
        splits.append(Split(config.anneal_split, config.mode, algorithm_1.anneal_candidates(passing, context)))
    return splits


def of_questions(
    config: SelectedConfig, context: Context, questions: pl.DataFrame, grades: pl.DataFrame | None
) -> list[Split]:  # fmt: skip
    """The candidates for the RL splits, and for those of original responses."""
    splits = []
    if config.rl_splits and grades is not None:
        graded = questions.hstack(grades.select("level"))
        for name, levels in config.rl_splits.items():
            splits.append(_drawn(context, name, "full", graded.filter(_on(levels)), "question_id"))
    for name, source in config.original_splits.items():
        of_source = questions.filter(pl.col("has_original"), source=source)
        splits.append(_drawn(context, name, "original", of_source, "question_id"))
    return splits


def is_ranked(config: SelectedConfig, name: str) -> bool:
    """Whether the split takes only some of its candidates, which are ranked over all shards."""
    return name in config.limits or (name == config.anneal_split and config.anneal_questions is not None)


def within_limits(config: SelectedConfig, name: str, candidates: pl.DataFrame) -> pl.DataFrame:
    """The candidates within a split's limits, by the columns that rank them."""
    rows = algorithm_1.ranked(candidates, config.anneal_questions) if name == config.anneal_split else candidates
    limits = config.limits.get(name)
    return rows if limits is None else limited(rows, limits)


def with_thresholds(split: Split, context: Context) -> Split:
    """The split with the pass threshold of each row's category."""
    return Split(split.name, split.mode, split.rows.with_columns(thresholds.column(context.pass_thresholds)))


def _on(levels: Levels | Mapping[Category, Levels]) -> pl.Expr:
    """Whether a question is on one of the levels that the split takes of its category."""
    by_category = levels if isinstance(levels, Mapping) else dict.fromkeys(CATEGORIES, levels)
    return pl.any_horizontal(
        *((pl.col("category") == category) & pl.col("level").is_in(wanted) for category, wanted in by_category.items())
    )


def _drawn(context: Context, name: str, mode: Mode, rows: pl.DataFrame, *key: str) -> Split:
    """The candidates of a split, ranked by a draw if it has limits."""
    return Split(name, mode, rows.with_columns(rank=context.draw(f"limit/{name}", *key)) if name in context.limits else rows)


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
