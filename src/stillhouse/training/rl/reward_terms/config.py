"""The terms of rl's reward in a recipe: one class per kind, told apart by ``kind``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from stillhouse.execution import extensions
from stillhouse.sampling.config import JUDGE
from stillhouse.verification.config import JudgeConfig, RewardModelConfig
from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

TOTAL = "total"
"""The name of the weighted sum in metrics."""
KINDS: Mapping[str, object] = dict.fromkeys(("verifier", "judge", "reward_model", "endpoint"))
"""The built-in kinds of terms."""


class TermConfig(StageConfig):
    """What all terms have in common."""

    name: str | None = Field(None, pattern=r"^[\w.-]+$")
    """Names the term in metrics and in the table of rollouts; null takes its kind."""
    weight: float = Field(1.0, allow_inf_nan=False)
    """What the term is multiplied by in the sum; below 0 it is a penalty."""
    categories: tuple[Category, ...] | None = Field(None, min_length=1)
    """Whose rollouts it rewards; null takes all that its kind can reward."""
    max_failure_rate: float = Field(0.2, ge=0, le=1)
    """Share of the rollouts of the last steps on which the term may fail; above it the stage ends. The papers give no value."""

    @property
    def label(self) -> str:
        """Its name in metrics."""
        kind: str = self.kind  # type: ignore[attr-defined] # every class below has one
        return self.name or kind.partition("@")[0].rpartition(":")[2]

    def rewards(self, category: Category) -> bool:
        """Whether the term is part of the reward of a category's rollouts."""
        return self.can_reward(category) if self.categories is None else category in self.categories

    def can_reward(self, category: Category) -> bool:
        """Whether its kind can reward the category."""
        return True

    @field_validator("name")
    @classmethod
    def _not_the_sum(cls, name: str | None) -> str | None:
        if name == TOTAL:
            msg = f"{TOTAL} is the name of the weighted sum; take another"
            raise ValueError(msg)
        return name


class VerifierTerm(TermConfig):
    """The verify score over its category's scale, by the rules of the stage ``verified``; 0 if the format is wrong."""

    kind: Literal["verifier"] = "verifier"

    def can_reward(self, category: Category) -> bool:
        """Categories with a rule."""
        return FACTS[category].verifier != JUDGE

    @model_validator(mode="after")
    def _has_rules(self) -> Self:
        without = [category for category in self.categories or () if not self.can_reward(category)]
        if without:
            msg = f"no rule scores {', '.join(without)}; take kind judge or reward_model for them"
            raise ValueError(msg)
        return self


class JudgeTerm(TermConfig):
    """A language model's score: agreement with the reference for science, else the answer's quality."""

    kind: Literal["judge"] = "judge"
    judge: JudgeConfig
    """The judge, as in ``verified``."""

    def can_reward(self, category: Category) -> bool:
        """Categories without a rule."""
        return FACTS[category].verifier == JUDGE

    @model_validator(mode="after")
    def _is_not_beside_the_trainer(self) -> Self:
        if self.judge.engine == "vllm":
            msg = "judge.engine: vllm would take the memory that training needs; serve the judge, and write engine: openai"
            raise ValueError(msg)
        return self


class RewardModelTerm(TermConfig):
    """A reward model's quality score, from 0 to 1."""

    kind: Literal["reward_model"] = "reward_model"
    reward_model: RewardModelConfig
    """The reward model, as in ``verified``."""

    def can_reward(self, category: Category) -> bool:
        """Categories without rule and reference."""
        return FACTS[category].verifier == JUDGE and FACTS[category].needs is None


class EndpointTerm(TermConfig):
    """A service of your own, asked by HTTP; ``STILLHOUSE_REWARDS`` says where it is."""

    kind: Literal["endpoint"] = "endpoint"
    name: str = Field(pattern=r"^[\w.-]+$")
    """Names the term, also in ``STILLHOUSE_REWARDS``: ``style=http://host:9000``."""
    version: str = Field("", json_schema_extra=OMIT_DEFAULT)
    """The service's version: part of the fingerprint. If the service states its own, the two must be equal."""
    batch_size: int = Field(64, ge=1)
    """Rollouts per request."""
    timeout_s: float = Field(120.0, gt=0)
    """Seconds until a request must be answered, further tries included; then its rollouts get no gradient."""


class FunctionTerm(TermConfig):
    """A function of your own: an entry point of the group ``stillhouse.rewards``, or ``module:attribute``."""

    kind: str
    """Name of the entry point, or ``module:attribute``; its version is filled in, so that it is part of the fingerprint."""
    timeout_s: float = Field(60.0, gt=0)
    """Seconds one call may take; then the rollout gets no gradient."""

    @field_validator("kind")
    @classmethod
    def _pinned(cls, kind: str) -> str:
        return extensions.pinned("rewards", kind, KINDS)


def _tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    if not isinstance(kind, str):
        return None
    return kind if kind in KINDS else "function"


Term = Annotated[
    Annotated[VerifierTerm, Tag("verifier")]
    | Annotated[JudgeTerm, Tag("judge")]
    | Annotated[RewardModelTerm, Tag("reward_model")]
    | Annotated[EndpointTerm, Tag("endpoint")]
    | Annotated[FunctionTerm, Tag("function")],
    Discriminator(
        _tag,
        custom_error_type="reward_kind",
        custom_error_message=f"a term of the reward needs a kind: {', '.join(KINDS)}, an entry point, or module:attribute",
    ),
]
"""A term in a config: a mapping whose ``kind`` says what rewards."""
