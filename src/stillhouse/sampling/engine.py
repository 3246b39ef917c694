"""The seam between stages and models: requests in, completions out, one row's result independent of the others."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.prompts import Suffix, SystemPrompt, asked
from stillhouse.vocabulary.rows import FinishReason, Message, Question, Response, ResponseKey
from stillhouse.vocabulary.settings import StageConfig
from stillhouse.vocabulary.transcript import ANSWER, END_THINK, THINK, Parsed, parse

EngineName = Literal["openai", "transformers", "vllm"]


class Sampling(StageConfig):
    """How a model is sampled. Part of the config of every stage that samples."""

    engine: EngineName = "vllm"
    """What runs the model: vllm in this process, openai for a served one (STILLHOUSE_ENDPOINTS), transformers without vllm."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature; 0 is greedy. The papers evaluate at 0.6; for distillation the papers give no value."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus: the smallest set of tokens whose mass reaches this is sampled from."""
    max_tokens: int = Field(32_768, ge=1)
    """Longest response, in tokens; a response cut here has finish_reason `length`."""
    system_prompt: SystemPrompt = "think_answer"
    """The system prompt, by name."""
    suffix: Suffix = "boxed"
    """What follows each question, by name."""
    suffixes: dict[Category, Suffix] = Field(default_factory=dict)
    """What follows the questions of a category instead, such as ``{code: python}``."""
    seed: int = Field(0, ge=0)
    """With a response's key it decides that response's random numbers."""

    @property
    def sampling_id(self) -> str:
        """Names these settings in the rows: sixteen hex digits."""
        return hashlib.sha256(self.model_dump_json(include=set(Sampling.model_fields)).encode()).hexdigest()[:16]

    def prompt(self, question: Question) -> list[Message]:
        """The conversation that asks a question, with the system prompt and the suffix of its category."""
        return asked(question.messages, question.category, self.system_prompt, self.suffix, self.suffixes)


@dataclass(frozen=True)
class Request:
    """One response to be sampled."""

    key: ResponseKey
    messages: Sequence[Message]
    seed: int


@dataclass(frozen=True)
class Completion:
    """What a model wrote. ``finish_reason``: stop, length or error.

    An error is a value too: ``failure`` names its kind, ``detail`` says more. ``retried`` are the kinds of the tries that failed
    before this one.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    failure: str = ""
    detail: str = ""
    retried: tuple[str, ...] = ()


class Engine(Protocol):
    """A loaded model."""

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """A completion for every request, in any order; equal requests get equal completions.

        Requests are read as there is room for them, completions handed on as they come: neither has to fit in memory.
        """


ENGINES: dict[EngineName, tuple[str, str]] = {
    "openai": ("stillhouse.sampling.openai", "OpenAIEngine"),
    "transformers": ("stillhouse.sampling.transformers", "TransformersEngine"),
    "vllm": ("stillhouse.sampling.vllm", "VllmEngine"),
}
"""Where each engine lives: its module is imported only when it is used."""


def row_seed(seed: int, key: Iterable[object]) -> int:
    """The seed of one response, 0 <= seed < 2**62: from its key, so that neither order nor sharding changes it."""
    text = "/".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2


def response(sampling: Sampling, request: Request, completion: Completion, sampling_id: str | None = None) -> Response:
    """The row of one completion, with its thinking and answer told apart; ``sampling_id`` where not the settings alone name it."""
    question_id, model, prompt_kind, number, sample_index = request.key
    parsed = parse(completion.text)
    if prompt_kind == "summary" and not any(tag in completion.text for tag in (THINK, END_THINK, ANSWER)):
        # A summary is asked for without tags: all of it is the answer.
        parsed = Parsed(None, completion.text.strip() or None)
    return Response(
        question_id=question_id, model=model, prompt_kind=prompt_kind, round=number, sample_index=sample_index,
        text=completion.text, think=parsed.think, answer=parsed.answer, finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens, completion_tokens=completion.completion_tokens, seed=request.seed,
        sampling_id=sampling_id or sampling.sampling_id,
    )  # fmt: skip


def load(sampling: Sampling, model: str | Path) -> Engine:
    """Load a model (a checkpoint directory, or a name: on the Hugging Face hub, or at an endpoint) in the config's engine.

    Raises EngineFailed if the engine is not installed, or the model cannot be loaded or is not served.
    """
    from importlib import import_module

    module, name = ENGINES[sampling.engine]
    engine: Engine = getattr(import_module(module), name)(str(model), sampling)
    return engine
