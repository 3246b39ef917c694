"""What one selection decides by, beside its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from stillhouse.selection.config import AlgorithmRules, SplitLimits
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.categories import Category


@dataclass(frozen=True)
class Context:
    """The rules, limits, thresholds and seed of one selection."""

    rules: AlgorithmRules
    limits: Mapping[str, SplitLimits] = field(default_factory=dict)
    """By split."""
    pass_thresholds: Mapping[Category, float] = field(default_factory=dict)
    """By category, as verdicts and grades state them."""

    def draw(self, purpose: str, *columns: str) -> pl.Expr:
        """A number in [0, 1) for every row, from the seed, the purpose and the row's columns."""
        return seeds.draws(self.rules.seed, purpose, *map(pl.col, columns))
