"""Names of the columns that a frame has once per model, by the model's index in a list of names.

| fact | dtype | meaning |
|---|---|---|
| ``n`` | Int32 | responses with a score |
| ``mean``, ``variance`` | Float64 | of their scores; the variance is divided by n |
| ``passed`` | Int32 | responses that passed |
| ``rate`` | Float64 | pass rate |
| ``cv`` | Float64 | coefficient of variation of the scores; null where undefined |
| ``low``, ``high`` | Float64 | 95 % interval of the pass rate |

A *tally* has the first four; a *grades table* has all eight. Both have one row per question.
"""

from typing import Literal

import polars as pl

Fact = Literal["n", "mean", "variance", "passed", "rate", "cv", "low", "high"]


def name(fact: Fact, model: int) -> str:
    """The column of a fact about the model with this index: ``rate_0``."""
    return f"{fact}_{model}"


def col(fact: Fact, model: int) -> pl.Expr:
    """The column ``name(fact, model)`` as an expression."""
    return pl.col(name(fact, model))
