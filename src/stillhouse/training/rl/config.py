"""Settings and inputs of the rl stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from stillhouse.execution import extensions
from stillhouse.execution.contract import ModelDirectory, StageInputs
from stillhouse.models.references import PinnedCode
from stillhouse.training.config import Adapters, ChatSettings, UpdateSettings, Validation
from stillhouse.training.rl.losses.config import LossSettings
from stillhouse.training.rl.reward_terms.config import Term, VerifierTerm
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.prompts import Suffix, SystemPrompt
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

RolloutEngine = Literal["transformers", "vllm"]


class Plateau(StageConfig):
    """When to end a stage because its reward has stopped rising; the paper gives no criterion."""

    window: int = Field(50, ge=1)
    """Steps in a window; the mean rewards of the last two windows are compared."""
    least_gain: float = Field(0.005, ge=0)
    """Smallest gain from one window to the next that is worth going on."""


TOOLS = "tools"
"""The built-in environment."""
BUILT_IN_TOOLS: Mapping[str, object] = dict.fromkeys(("calculator", "python"))
"""The built-in tools."""


class EnvironmentConfig(StageConfig):
    """What the model talks to in a rollout of several turns; the papers have none."""

    kind: str = TOOLS
    """``tools``: functions that the model may call; or an environment of your own, by entry point or as module:attribute."""
    tools: tuple[str, ...] = ()
    """The tools: calculator, python (in the sandbox), or functions of your own, by entry point or as module:attribute."""
    announce: bool = True
    """Have the system prompt say what the environment offers; false for a model that knows it from its training."""
    max_turns: int = Field(4, ge=1)
    """Most turns of the model in one rollout."""
    max_reply_tokens: int = Field(256, ge=1)
    """Most tokens of one reply; of a longer one the beginning is shown. They count towards ``max_tokens``."""
    timeout_s: float = Field(10.0, gt=0)
    """Seconds that a program of the model may compute; a whole reply may take ten times as long. Then the model is told so."""

    @field_validator("kind")
    @classmethod
    def _pin_kind(cls, kind: str) -> str:
        return extensions.pinned("environments", kind, {TOOLS: ""})

    @field_validator("tools")
    @classmethod
    def _pin_tools(cls, tools: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(extensions.pinned("tools", tool, BUILT_IN_TOOLS) for tool in tools)

    @model_validator(mode="after")
    def _has_tools_if_it_calls_them(self) -> Self:
        if (self.kind == TOOLS) != bool(self.tools):
            msg = f"kind {TOOLS} needs `tools`, such as [calculator], and no other kind takes them; got kind {self.kind}"
            raise ValueError(msg)
        return self


class DynamicSampling(StageConfig):
    """Ask other questions in place of those whose rollouts all have the same reward (DAPO, arXiv:2503.14476 §3.2)."""

    attempts: int = Field(10, ge=1)
    """Most times that a step asks again; groups that are still without variance then stay. The paper gives no bound."""


class ActiveSampling(StageConfig):
    """Ask most often the questions whose rollouts will probably differ in reward; the papers have no rule for it."""

    exploration: float = Field(0.1, ge=0, le=1)
    """Weight of a question that is always or never solved, beside 1 for one that is solved half the time; 1 ignores pass rates."""
    prior_rollouts: float = Field(1, gt=0)
    """How many rollouts a question's pass rate before this stage counts for (0.5 where it has none)."""
    memory: float = Field(0.5, ge=0, le=1)
    """What a question's earlier outcomes still weigh each time it is asked again, since the model changes."""


class RlConfig(LossSettings, UpdateSettings, ChatSettings):
    """How to train. The defaults are the paper's (Difficulty-Aware Staged RL §4.1), except the number of steps."""

    split: str = "rl_1"
    """The split of the selected examples whose questions are trained on."""
    steps: int = Field(1600, ge=1)
    """Most optimizer steps (paper: stage 1 plateaus at step 1600)."""
    plateau: Plateau | None = None
    """End the stage earlier, once the reward has stopped rising."""
    validation: Validation | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Measure the model while it trains, publish the best checkpoint, and stop when it gets no better; null measures nothing."""
    mix: dict[Category, Annotated[float, Field(gt=0)]] | None = None
    """Weight of each category within every step, such as {math: 2.1, code: 1} (§3.3); null asks questions in shuffled order."""
    dynamic_sampling: DynamicSampling | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Ask again, with other questions, where all rollouts of a question have the same reward; null asks once."""
    active_sampling: ActiveSampling | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Choose questions by their pass rates so far, and by `graded` and the stage before; null asks each as often as the others."""
    drop_solved: bool = False
    """Leave out questions that the checkpoint's own rl stage solved every time (AM-Thinking-v1 §5.4)."""
    carry_optimizer: bool = False
    """Start with the optimizer state of the checkpoint's own rl stage; the paper does not say."""
    keep_optimizer: bool = False
    """Publish the optimizer state beside the weights, for a further stage: it takes twice the space of the weights."""
    lora: Adapters | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Train low-rank adapters instead of all weights; the initial policy of the KL term is then the model without them."""
    learning_rate: float = Field(1e-6, gt=0)
    """Constant learning rate."""
    group_size: int = Field(16, ge=2)
    """Rollouts per question: GRPO's group."""
    prompts_per_step: int = Field(128, ge=1)
    """Questions per step; the paper says a batch of 128 without saying of what."""
    steps_per_batch: int = Field(1, ge=1, json_schema_extra=OMIT_DEFAULT)
    """Steps for which rollouts are written at once; 1 is strictly on-policy (the paper), above it clipping acts (DAPO: 16)."""
    mask_truncated: bool = False
    """Leave rollouts cut at max_tokens out of the loss; the paper's stage 2 does."""
    temperature: float = Field(1.0, gt=0)
    """Rollout temperature; the paper gives no value."""
    max_tokens: int = Field(16_384, ge=1)
    """Longest rollout, in tokens (paper: 16k, stage 2 24k)."""
    rewards: tuple[Term, ...] = Field((VerifierTerm(),), min_length=1, json_schema_extra=OMIT_DEFAULT)
    """What rewards rollouts: a weighted sum of terms, such as ``[{kind: verifier}, {kind: "my_module:brevity", weight: 0.1}]``."""
    environment: EnvironmentConfig | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Rollouts of several turns, such as ``{tools: [calculator]}``; null: a rollout is one response."""
    verify_timeout_s: float = Field(0.9, gt=0)
    """Seconds one verification may take; a rollout whose verification fails gets no gradient from the reward ``verifier``."""
    libraries: Libraries = Field("standard", json_schema_extra=OMIT_DEFAULT)
    """What programs of models may import: the standard library, or scientific packages too. Part of the verdict's method."""
    engine: RolloutEngine = "transformers"
    """What writes the rollouts: transformers, or vllm, many times as fast, which needs the weights copied to it every step."""
    rollouts_ahead: Literal[0, 1] = Field(0, json_schema_extra=OMIT_DEFAULT)
    """1: rollout servers write a step's rollouts during the update before, with weights one update older; the papers do not."""
    system_prompt: SystemPrompt = "think_answer"
    """Name of the system prompt of the rollouts."""
    suffix: Suffix = "boxed"
    """Name of the text that follows the question."""
    suffixes: dict[Category, Suffix] = Field(default_factory=dict)
    """The same by category, for categories that do not use ``suffix``."""
    trusted_code: tuple[PinnedCode, ...] = Field((), json_schema_extra=OMIT_DEFAULT)
    """Hub models whose own Python code may run, each as hf://ORG/NAME@COMMIT; no other model's code ever does."""
    seed: int = Field(0, ge=0)
    """Decides the order of the questions and the rollouts."""

    @field_validator("rewards")
    @classmethod
    def _distinct(cls, rewards: tuple[Term, ...]) -> tuple[Term, ...]:
        labels = [term.label for term in rewards]
        if repeated := sorted({label for label in labels if labels.count(label) > 1}):
            msg = f"several terms are called {', '.join(repeated)}; give each a name of its own"
            raise ValueError(msg)
        return rewards

    @model_validator(mode="after")
    def _measures_what_it_trains(self) -> Self:
        if self.environment is not None and self.validation is not None:
            msg = "validation asks for single responses, and an environment has several turns; leave out one of the two"
            raise ValueError(msg)
        if self.environment is not None and (self.dynamic_sampling is not None or self.active_sampling is not None):
            msg = "dynamic_sampling and active_sampling choose among single responses; leave them out, or the environment"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _require_whole_batches(self) -> Self:
        if self.steps % self.steps_per_batch:
            msg = f"steps {self.steps} is not a multiple of steps_per_batch {self.steps_per_batch}; change one of the two"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _refuse_a_punishment_without_effect(self) -> Self:
        if self.mask_truncated and self.overlong_share:
            msg = (
                f"mask_truncated leaves out of the loss the rollouts that overlong_share {self.overlong_share:g} punishes most; "
                "set overlong_share: 0, or mask_truncated: false"
            )
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class RlInputs(StageInputs):
    """Selected examples, their questions with references, the initial policy, and what is optional.

    That is grades, to log the reward by level, and questions for `validation`.
    """

    selected: Path
    questions: Path
    checkpoint: ModelDirectory
    graded: Path | None = None
    validation_questions: Path | None = None
