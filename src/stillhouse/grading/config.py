"""The config and the inputs of ``graded``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stillhouse.execution.contract import StageInputs
from stillhouse.vocabulary.categories import SOLVED_SHARES, Category, filled
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

Role = Literal["small", "medium", "reference", "strongest"]
PassRateKind = Literal["indicator", "mean_score"]


class GradedConfig(StageConfig):
    """Which models decide a question's level, and how their pass rates are computed."""

    small: str
    """Model in the role of R1-Distill-1.5B: the model to be trained, or a similar one."""
    medium: str
    """Model in the role of R1-Distill-7B."""
    reference: str | None = None
    """Model in the role of R1-Distill-32B: questions it fails are level 3."""
    strongest: str | None = None
    """Model in the role of DeepSeek-R1: questions it never solves are discarded."""
    learner: str | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Model that is trained further, such as last night's champion: a question that it passes every time is discarded as
    `mastered`, so that no later stage learns from it. The papers train once."""
    ddof: int = Field(1, ge=0, le=1)
    """1: the deviation of the paper's worked examples (DeepDistill §3); 0: its printed formula."""
    pass_rate_kind: PassRateKind = "indicator"
    """indicator: share of responses that pass (DeepDistill §2.4.2); mean_score: mean verify score (its dataset card)."""
    solved_share: Annotated[dict[Category, Annotated[float, Field(ge=0, le=1)]], filled(SOLVED_SHARES)] = SOLVED_SHARES
    """Share of the questions solved by the reference model that stays in level 3, by category (Staged RL §3.2.1)."""
    seed: int = 0
    """Decides which of those questions stay."""

    @property
    def roles(self) -> dict[Role, str | None]:
        """The model in each role; None for a role without a model."""
        return {"small": self.small, "medium": self.medium, "reference": self.reference, "strongest": self.strongest}


@dataclass(frozen=True, kw_only=True)
class GradedInputs(StageInputs):
    """Questions, and the verdicts on the responses of all models."""

    questions: Path
    verified: Path
