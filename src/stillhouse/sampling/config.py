"""The configs of sampling: how a model is sampled, when sampling a question stops early, and what the stage ``responses`` asks."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from stillhouse.execution import extensions
from stillhouse.execution.contract import StageInputs
from stillhouse.vocabulary.categories import FACTS, PASS_THRESHOLDS, Category, PassThresholds
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.prompts import SUMMARY_PROMPT, Suffix, SystemPrompt, question_prompt
from stillhouse.vocabulary.rows import Message, Question
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

Prior = tuple[float, float]

ENGINES = {
    "openai": "stillhouse.sampling.openai:OpenAIEngine",
    "transformers": "stillhouse.sampling.transformers:TransformersEngine",
    "vllm": "stillhouse.sampling.vllm:VllmEngine",
}
"""The built-in engines, as module:attribute: a module is imported only when its engine is loaded."""


def _pinned_engine(name: str) -> str:
    return extensions.pinned("engines", name, ENGINES)


EngineName = Annotated[str, AfterValidator(_pinned_engine), Field(json_schema_extra={"enum": list(ENGINES)})]
"""A built-in engine, or an extension: the name of an entry point in ``stillhouse.engines``, or ``module:attribute``.

The JSON schema, and so Airflow's trigger form, offers only built-in engines: which code a run loads is for its recipe to decide.
"""

JUDGE = "judge"
"""Stands in the table of categories for a language or reward model, where no rule can score answers."""


def _pinned_verifier(name: str) -> str:
    return extensions.pinned("verifiers", name, {facts.verifier: "" for facts in FACTS.values() if facts.verifier != JUDGE})


Verifiers = dict[Category, Annotated[str, AfterValidator(_pinned_verifier)]]
"""Rule verifiers by category, in place of the table's: a built-in one, the name of an entry point in ``stillhouse.verifiers``, or
``module:attribute``."""


class Sampling(StageConfig):
    """How a model is sampled. Part of the config of every stage that samples."""

    engine: EngineName = "vllm"
    """What runs the model: vllm in this process, openai for a served one (STILLHOUSE_ENDPOINTS), transformers without vllm."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature; 0 is greedy. The papers evaluate at 0.6; for distillation the papers give no value."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus sampling: draw from the smallest set of tokens whose probabilities sum to at least this."""
    max_tokens: int = Field(32_768, ge=1)
    """Longest response, in tokens; a response cut here has finish_reason `length`."""
    system_prompt: SystemPrompt = "think_answer"
    """The system prompt, by name."""
    suffix: Suffix = "boxed"
    """What follows each question, by name."""
    suffixes: dict[Category, Suffix] = Field(default_factory=dict)
    """What follows the questions of one category instead, such as ``{code: python}``."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)
    """Arguments of the model's chat template, such as {enable_thinking: false} or {reasoning_effort: high}."""
    seed: int = Field(0, ge=0)
    """Together with a response's key it decides that response's random numbers."""

    @property
    def sampling_id(self) -> str:
        """Names these settings in the rows: sixteen hex digits."""
        return hashlib.sha256(self.model_dump_json(include=set(Sampling.model_fields)).encode()).hexdigest()[:16]

    def prompt(self, question: Question) -> list[Message]:
        """The conversation that asks a question, with the system prompt and the suffix of its category."""
        return question_prompt(question.messages, question.category, self.system_prompt, self.suffix, self.suffixes)


class Adaptive(StageConfig):
    """When sampling a question stops early."""

    confidence: float = Field(0.98, gt=0.5, lt=1)
    """Least probability that all samples would have given the same grade."""
    step: int = Field(1, ge=1)
    """Samples per question between two checks of its verdicts; fewer save more samples, more keep a GPU busier."""
    boundaries: tuple[float, ...] = ()
    """Further pass rates in (0, 1) at which the grade changes: ``[0.5]`` for the model in grading's role `reference`."""
    priors: dict[Category, Prior] = Field(
        default={"math": (0.36, 0.05), "code": (0.15, 0.06), "science": (0.69, 0.18), "instruction_following": (0.18, 0.09)}
    )
    """Beta distribution of pass rates by category: how often the model passes, before any sample. The default is fitted to
    DeepSeek-R1 (DeepDistill, Fig. 8); weaker models need priors of their own."""
    other_prior: Prior = (0.35, 0.35)
    """The same for all other categories."""

    def prior(self, category: Category) -> Prior:
        """The category's prior."""
        return self.priors.get(category, self.other_prior)


class ResponsesConfig(Sampling):
    """What to sample."""

    model: str | None = None
    """The model's name in the rows; without a checkpoint input, the model itself: on the Hugging Face hub, or at an endpoint."""
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Several models instead of one, by name, each with its own settings: ``{r1: {}, small: {temperature: 1.0}}``."""
    samples: int = Field(4, ge=1)
    """Responses to a question from each model (DeepDistill §2.3: 4 from each of three)."""
    rounds: int = Field(1, ge=1, le=8)
    """Rounds of thinking of each sample: every further one shows the last answer and asks again (Think Twice: 2, up to 4)."""
    prompt_kind: Literal["question", "summary"] = "question"
    """question: answer the questions; summary: summarise the thinking in the responses input, by summary_prompt alone."""
    summary_prompt: str = Field(SUMMARY_PROMPT, pattern=r"\{thinking\}")
    """The prompt for a summary; {question} and {thinking} are filled in. The paper does not print its prompt."""
    until: Literal["all", "verified", "graded"] = "all"
    """all: every sample; verified: until one is verified correct (Think Twice §3.3); graded: until the grade is decided (ours)."""
    adaptive: Adaptive = Adaptive()
    """When a grade counts as decided."""
    pass_thresholds: PassThresholds = PASS_THRESHOLDS
    """Verify scores above which a response passes, by category; used if until asks for verdicts."""
    verify_timeout_s: float = Field(0.9, gt=0)
    """Seconds one verification may take before its worker is killed."""
    libraries: Libraries = Field("standard", json_schema_extra=OMIT_DEFAULT)
    """What programs of models may import: the standard library, or scientific packages too. Give `verified` the same."""
    verifiers: Verifiers = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)
    """Verifiers of your own by category, for until: ``{math: my_package:MyVerifier}``; give `verified` the same."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """Share of requests that may be given up without an answer; above it the stage fails."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
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
        """How each model is sampled, by its name. Raises ValueError for an invalid setting."""
        shared = self.model_dump(include=set(Sampling.model_fields))
        settings = {}
        for name, own in (self.models or {str(self.model): {}}).items():
            try:
                settings[name] = Sampling.model_validate(shared | own)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                msg = f"{name}.{'.'.join(map(str, first['loc']))}: {first['msg']}"
                raise ValueError(msg) from error
        return settings


@dataclass(frozen=True, kw_only=True)
class ResponsesInputs(StageInputs):
    """Questions, the checkpoint that answers them, the responses to summarise, and an earlier output to reuse."""

    questions: Path
    checkpoint: Path | None = None
    responses: tuple[Path, ...] = ()
    previous: Path | None = None
