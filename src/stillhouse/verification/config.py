"""The configs of verification: the models that judge, and the stage ``verified``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from stillhouse.execution.contract import StageInputs
from stillhouse.models.references import refuse_malformed
from stillhouse.sampling.config import Sampling, Verifiers
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, PassThresholds
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.prompts import Suffix, SystemPrompt
from stillhouse.vocabulary.settings import MODEL, OMIT_DEFAULT, StageConfig

QUALITY_ATTRIBUTES = ("coherence", "correctness", "helpfulness")
"""The three ratings in the quality score, each from 0 to 4 (DeepDistill, Eq. 4)."""


class JudgeConfig(Sampling):
    """A language model that scores answers."""

    model: Annotated[str, AfterValidator(refuse_malformed)] = Field(json_schema_extra=MODEL)
    """The judge: a reference, or its name at an endpoint (DeepDistill: Qwen2.5-7B-Instruct)."""
    max_tokens: int = Field(1024, ge=1)
    """Longest reply of the judge, in tokens; the paper gives no value."""
    system_prompt: SystemPrompt = "none"
    """The judge's system prompt, by name."""
    suffix: Suffix = "none"
    """What follows the judge's prompt, by name."""


class RewardModelConfig(StageConfig):
    """A model that rates answers."""

    model: Annotated[str, AfterValidator(refuse_malformed)] = Field(json_schema_extra=MODEL)
    """The sequence classifier (DeepDistill: Decision-Tree-Reward-Llama-3.1-8B): a reference, or its served name."""
    engine: Literal["transformers", "endpoint"] = "transformers"
    """Where it runs: in this process, or served."""
    attributes: tuple[str, ...] = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    """What its outputs are, in order; the default is the order of HelpSteer2, on which the papers' model was trained."""
    max_length: int = Field(4096, ge=16)
    """Tokens of a conversation; of a longer one the end is rated. The paper gives no value."""
    batch_size: int = Field(8, ge=1)
    """Conversations per batch."""

    @model_validator(mode="after")
    def _rates_what_the_score_needs(self) -> Self:
        missing = sorted(set(QUALITY_ATTRIBUTES) - set(self.attributes))
        if missing:
            msg = f"attributes must name {', '.join(QUALITY_ATTRIBUTES)}; {', '.join(missing)} is missing"
            raise ValueError(msg)
        return self


class AnswerRules(StageConfig):
    """Tolerances, units and order; the default compares exactly, decimals to the digits that are written."""

    absolute: float | None = Field(None, ge=0)
    """Largest absolute difference from the reference that is still correct, as in OlympiadBench's column ``error``."""
    relative: float | None = Field(None, ge=0, le=1)
    """Largest difference from the reference as a share of it: 0.01 for one percent."""
    significant_digits: int | None = Field(None, ge=1, le=15)
    """Digits in which an answer must agree with the reference when both are rounded to them."""
    units: Literal["same", "required", "convert"] = "same"
    """``same``: a unit may be left out, another one is wrong. ``required``: it must be there. ``convert``: 0.05 m is 5 cm."""
    ordered: bool = False
    """Whether the order of a list's values counts."""


class VerifiedConfig(StageConfig):
    """How responses are scored."""

    timeout_s: float = Field(0.9, gt=0)
    """Seconds of processor time one answer may take before its worker is ended. Code gets its tests' limits besides."""
    pass_thresholds: PassThresholds = PASS_THRESHOLDS
    """Verify scores above which a response passes, by category. Written into the rows; all later stages use them."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """Share of responses on which the verifier may fail (timeout or error, after a second try); above it the stage fails."""
    judge: JudgeConfig | None = None
    """The language model that scores science, and multi_turn and other if there is no reward model."""
    second_stage: bool = False
    """Ask the judge about math answers that the rule finds wrong (DeepDistill §2.4.1 does)."""
    reward_model: RewardModelConfig | None = None
    """The reward model that scores multi_turn and other."""
    self_test: bool = True
    """Before the run, try known answers (references, empty and perturbed ones) on a sample of every source's questions."""
    max_self_test_failure_rate: float = Field(0.25, ge=0, le=1)
    """Share of one kind of known answers that may be judged wrongly in a source; above it the stage fails."""
    libraries: Libraries = Field("standard", json_schema_extra=OMIT_DEFAULT)
    """What programs of models may import: the standard library, or scientific packages too. Part of the verdict's method."""
    min_judge_kappa: float = Field(-1, ge=-1, le=1, json_schema_extra=OMIT_DEFAULT)
    """Least agreement of the judge with known answers in the self-test, as Cohen's kappa: below it the stage fails."""
    instruction_mode: Literal["strict", "loose"] = Field("strict", json_schema_extra=OMIT_DEFAULT)
    """IFEval's criterion: ``loose`` also tries an answer without its first or last line and without asterisks."""
    answer_rules: AnswerRules = Field(default_factory=AnswerRules, json_schema_extra=OMIT_DEFAULT)
    """How math answers are compared: tolerance, units, order. A question's own ``constraints`` come first."""
    verifiers: Verifiers = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)
    """Verifiers of your own by category: ``{science: my_package:MyVerifier}``; the version is filled in."""


@dataclass(frozen=True, kw_only=True)
class VerifiedInputs(StageInputs):
    """Responses, the questions with their references, an earlier output whose verdicts are reused, and marks that people made."""

    questions: Path
    responses: tuple[Path, ...]
    previous: Path | None = None
    marks: tuple[Path, ...] = ()
