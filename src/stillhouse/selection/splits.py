"""Choices and grades -> splits: which responses or questions each training stage gets, by key, without a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from stillhouse.selection import algorithm_1
from stillhouse.selection.candidates import Pool
from stillhouse.selection.config import Limits, Rules
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.categories import CATEGORIES, Category

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

Mode = Literal["full", "answer", "summary", "original"]
Levels = tuple[Literal[1, 2, 3], ...]


class Plan(Rules):
    """The splits to make, and how their examples are chosen."""

    sft_split: str | None = "sft_1"
    """Split of Algorithm 1 (DeepDistill §3); null makes none."""
    anneal_split: str | None = "anneal"
    """Split of the annealing selection (DeepDistill §3.2); null makes none."""
    rl_splits: dict[str, Levels | dict[Category, Levels]] = Field(default_factory=dict)
    """RL splits: the difficulty levels whose questions each takes (Staged RL §4.1: level 2, then level 3), of all categories or by
    category (§4.4: level 1 of math with level 3 of code)."""
    original_splits: dict[str, str] = Field(default_factory=dict)
    """Splits trained on the responses questions came with: the source each takes."""
    limits: dict[str, Limits] = Field(default_factory=dict)
    """Sizes, caps and mixes by split."""
    teacher: str | None = None
    """Model whose responses are learnt from (DeepDistill: R1 alone); null takes all models'."""
    mode: Mode = "full"
    """What is trained on: full, the whole response; answer, its answer alone; summary, a summary of its thinking before its answer;
    original, the response the question came with (Leveraging Reasoning Model Answers §2.2)."""
    summariser: str | None = None
    """Model whose summaries are taken; null takes those of all, of which there must be one to a response."""
    summary_separator: str = "\n\n"
    """What stands between summary and answer; the paper gives no value."""

    @property
    def splits(self) -> list[str]:
        """The names of all splits."""
        return [name for name in (self.sft_split, self.anneal_split, *self.rl_splits, *self.original_splits) if name]

    @model_validator(mode="after")
    def _distinct_splits(self) -> "Plan":
        names = self.splits
        if len(set(names)) < len(names) or not names:
            msg = f"splits need one name each, and at least one there has to be: {', '.join(names) or 'none'}"
            raise ValueError(msg)
        if unknown := sorted(set(self.limits) - set(names)):
            msg = f"limits of {unknown[0]}: there is no such split; splits: {', '.join(names)}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Split:
    """One split. ``rows`` are responses with their places, or questions."""

    name: str
    mode: Mode
    rows: "pl.DataFrame"


def passing(pool: Pool, chosen: "pl.DataFrame", limits: "Array") -> "tuple[pl.DataFrame, Array]":
    """The responses to questions that Algorithm 1 keeps: those that pass, with their question's numbers, and which do not."""
    import numpy as np
    import polars as pl

    kept = chosen.filter(pl.col("reason").is_null()).select("question", "category", "pass_rate", "cv", "challenging")
    row = np.full(len(pool.ids), -1)
    row[kept["question"].to_numpy()] = np.arange(kept.height)
    candidates, above = (row[pool.question] >= 0) & pool.candidates, pool.score > limits[pool.question]
    at = np.flatnonzero(candidates & above)
    question = pl.Series("question", pool.question[at].astype(np.uint32))
    found = pl.DataFrame([
        pool.ids[question].alias("question_id"), pl.Series("model", pool.models, pl.String)[pl.Series(pool.model[at])],
        pl.Series("sample_index", pool.sample[at]), pl.Series("verify_score", pool.score[at]), pl.Series("place", pool.place[at]),
        question,
    ])  # fmt: skip
    first_round = found.with_columns(prompt_kind=pl.lit("question"), round=pl.lit(1, pl.Int32), row=pl.Series(at))
    return first_round.hstack(kept.drop("question")[pl.Series(row[pool.question[at]])]), candidates & ~above


def of_responses(plan: Plan, passing: "pl.DataFrame") -> list[Split]:
    """The splits of Algorithm 1 and of the annealing selection. An original response is one example, however many passed."""
    made = []
    if plan.mode == "original":
        passing = passing.unique("question", keep="first", maintain_order=True)
    if plan.sft_split:
        made.append(_split(plan, plan.sft_split, plan.mode, passing, "question_id", "model", "sample_index"))
    if plan.anneal_split:
        made.append(_split(plan, plan.anneal_split, plan.mode, algorithm_1.annealing(passing, plan)))
    return made


def of_questions(plan: Plan, questions: "pl.DataFrame", grades: "pl.DataFrame | None") -> list[Split]:
    """The RL splits, and those of original responses."""
    import polars as pl

    made = []
    if plan.rl_splits and grades is not None:
        graded = questions.hstack(grades.select("level"))
        for name, levels in plan.rl_splits.items():
            made.append(_split(plan, name, "full", graded.filter(_at(levels)), "question_id"))
    for name, source in plan.original_splits.items():
        of_source = questions.filter(pl.col("has_original"), source=source)
        made.append(_split(plan, name, "original", of_source, "question_id"))
    return made


def _at(levels: "Levels | Mapping[Category, Levels]") -> "pl.Expr":
    """Whether a question is on one of the levels asked for of its category."""
    import polars as pl

    by_category = levels if isinstance(levels, Mapping) else dict.fromkeys(CATEGORIES, levels)
    return pl.any_horizontal(
        *((pl.col("category") == category) & pl.col("level").is_in(asked) for category, asked in by_category.items())
    )


def _split(plan: Plan, name: str, mode: Mode, found: "pl.DataFrame", *key: str) -> Split:
    """What the split's limits leave of what was found, by ``rank`` or, where a key is named, by a draw."""
    import polars as pl

    limits = plan.limits.get(name)
    if limits is None:
        return Split(name, mode, found)
    ranked = found.with_columns(rank=seeds.draws(plan.seed, f"limit/{name}", *map(pl.col, key))) if key else found
    return Split(name, mode, algorithm_1.limited(ranked, limits))
