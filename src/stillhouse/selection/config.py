"""The config and the inputs of ``selected``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stillhouse.execution.contract import StageInputs
from stillhouse.vocabulary.categories import CV_THRESHOLDS, EASY_KEPT, Category, filled
from stillhouse.vocabulary.rows import Mode
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

Levels = tuple[Literal[1, 2, 3], ...]


class AlgorithmRules(StageConfig):
    """The settings of Algorithm 1 (DeepDistill §3) and of the annealing selection (§3.2)."""

    cv_thresholds: Annotated[dict[Category, Annotated[float, Field(ge=0)]], filled(CV_THRESHOLDS)] = CV_THRESHOLDS
    """CV above which a question is challenging, by category (DeepDistill: 0.05 in v1 and v2, by category and unnamed in v3)."""
    ddof: int = Field(1, ge=0, le=1)
    """1: the deviation of the paper's worked examples (DeepDistill §3); 0: its printed formula."""
    easy_keep_probability: float = Field(0.5, ge=0, le=1)
    """Probability that an easy question of one of ``easy_categories`` stays."""
    easy_categories: tuple[Category, ...] = Field(EASY_KEPT, json_schema_extra=OMIT_DEFAULT)
    """Categories whose easy questions may stay (DeepDistill: multi_turn and other). With all of them, a ``ddof`` of 0 and a
    probability of 1, every passing response is kept: for data with one response to a question."""
    anneal_threshold: float = Field(0.99, ge=0, lt=1)
    """Score, divided by its scale's top, above which a response may be chosen for annealing."""
    anneal_questions: int | None = Field(None, ge=1)
    """How many questions of the highest CV to take for annealing (DeepDistill: nearly 200,000); null takes all challenging ones."""
    seed: int = 0
    """Decides which easy questions stay, and which response of a question is annealed on."""


class SplitLimits(StageConfig):
    """The size of a split and the mix of its categories. The rank decides what is cut: the CV for annealing, else a draw."""

    size: int | None = Field(None, ge=1)
    """Most examples; null takes all."""
    caps: dict[Category, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Most examples of a category (DeepDistill Fig. 3: 20,000 of science, 10,000 of instruction_following)."""
    mix: dict[Category, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Weights of categories, such as {math: 2.1, code: 1} (Staged RL §4.4): others are left out. Empty: no mixing."""


class SelectedConfig(AlgorithmRules):
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
    limits: dict[str, SplitLimits] = Field(default_factory=dict)
    """Sizes, caps and mixes by split."""
    teacher: str | None = None
    """Model whose responses are trained on (DeepDistill: R1 alone); null takes all models'."""
    mode: Mode = "full"
    """What is trained on: full, the whole response; answer, its answer alone; summary, a summary of its thinking before its answer;
    original, the response the question came with (Leveraging Reasoning Model Answers §2.2)."""
    summariser: str | None = None
    """Model whose summaries are used; null uses every model's, and each response must then have exactly one."""
    summary_separator: str = "\n\n"
    """Text between summary and answer; the paper gives no value."""

    @property
    def splits(self) -> list[str]:
        """The names of all splits."""
        return [name for name in (self.sft_split, self.anneal_split, *self.rl_splits, *self.original_splits) if name]

    @model_validator(mode="after")
    def _distinct_splits(self) -> "SelectedConfig":
        names = self.splits
        if len(set(names)) < len(names) or not names:
            msg = f"name at least one split, and give each a name of its own: {', '.join(names) or 'none'}"
            raise ValueError(msg)
        if unknown := sorted(set(self.limits) - set(names)):
            msg = f"limits of {unknown[0]}: no split has that name; splits: {', '.join(names)}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class SelectedInputs(StageInputs):
    """Questions; responses with verdicts and screenings to learn from; grades for RL levels."""

    questions: Path
    responses: tuple[Path, ...] = ()
    verified: Path | None = None
    screened: Path | None = None
    graded: Path | None = None
