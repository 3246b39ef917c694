"""questions -> responses: sample answers to every question from one or more models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from stillhouse.errors import NothingToDo
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.sampling import planning
from stillhouse.sampling.adaptive import Adaptive
from stillhouse.sampling.answering import Answering
from stillhouse.sampling.engine import Sampling
from stillhouse.sampling.published_parts import Parts, composition
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, PassThresholds
from stillhouse.vocabulary.prompts import SUMMARY_PROMPT

SCHEMA_VERSION = 2


class Config(Sampling):
    """What to sample."""

    model: str | None = None
    """The model's name in the rows; without a checkpoint input, the model itself: on the Hugging Face hub, or at an endpoint."""
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Several models instead of one, by name, each with the settings that are its own: ``{r1: {}, small: {temperature: 1.0}}``."""
    samples: int = Field(4, ge=1)
    """Responses to a question from each model (DeepDistill §2.3: 4 from each of three)."""
    rounds: int = Field(1, ge=1, le=8)
    """Rounds of thinking of each sample: every further one shows the last answer and asks again (Think Twice: 2, up to 4)."""
    prompt_kind: Literal["question", "summary"] = "question"
    """question: answer the questions; summary: summarise the thinking in the responses input, by summary_prompt alone."""
    summary_prompt: str = Field(SUMMARY_PROMPT, pattern=r"\{thinking\}")
    """How a summary is asked for; {question} and {thinking} are filled in. The paper does not print its prompt."""
    until: Literal["all", "verified", "graded"] = "all"
    """all: every sample; verified: until one is verified correct (Think Twice §3.3); graded: until the grade is decided (ours)."""
    adaptive: Adaptive = Adaptive()
    """When a grade counts as decided."""
    pass_thresholds: PassThresholds = PASS_THRESHOLDS
    """Verify scores above which a response passes, by category; used where until asks for verdicts."""
    verify_timeout_s: float = Field(0.9, gt=0)
    """Seconds one verification may take before its worker is killed."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """Share of requests that may be given up without an answer; above it the stage fails."""

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if bool(self.model) == bool(self.models):
            msg = f"name one model, or several models: model is {self.model!r}, models {list(self.models)}"
            raise ValueError(msg)
        if self.prompt_kind == "summary" and (self.models or self.until != "all" or self.rounds > 1):
            msg = "a summary is made by one model, once: name a model, and leave until and rounds alone"
            raise ValueError(msg)
        if self.until == "graded" and self.rounds > 1:
            msg = "until graded looks at first answers alone: leave rounds at 1"
            raise ValueError(msg)
        self.samplings()
        return self

    def samplings(self) -> dict[str, Sampling]:
        """How each model is sampled, by its name. Raises ValueError for a setting that is none."""
        shared = self.model_dump(include=set(Sampling.model_fields))
        found = {}
        for name, own in (self.models or {str(self.model): {}}).items():
            try:
                found[name] = Sampling.model_validate(shared | own)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                msg = f"{name}.{'.'.join(map(str, first['loc']))}: {first['msg']}"
                raise ValueError(msg) from error
        return found


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Questions, the checkpoint that answers them, the responses whose thinking is summarised, and an earlier output to reuse."""

    questions: Path
    checkpoint: Path | None = None
    responses: tuple[Path, ...] = ()
    previous: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Sample what no finished part and no earlier output holds. Raises TooManyErrors where too many requests are given up."""
    planning.check(config, inputs)
    with Parts(inputs) as parts, planning.planner(config, inputs) as plan_of:
        answering = Answering(inputs, parts, inputs.previous, config.max_failure_rate)
        for model, sampling in config.samplings().items():
            sampling_id = planning.sampling_id(config, sampling, inputs)
            answering.run(plan_of(model, sampling), sampling, sampling_id, planning.loader(sampling, model, inputs.checkpoint))
        if not answering.total and inputs.shard.count == 1:
            msg = "responses: the inputs have no row to ask about; nothing to sample"
            raise NothingToDo(msg)
        parts.finish()
    metrics = composition(inputs.output) | answering.metrics(config.engine)
    return Outputs(metrics=metrics, dropped=parts.reasons())
