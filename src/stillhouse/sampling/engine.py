"""The seam between stages and models: requests in, completions out, one row's result independent of the others."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from stillhouse.rows import Message, Response, ResponseKey
from stillhouse.sampling.parsing import parse
from stillhouse.sampling.prompts import Suffix, SystemPrompt
from stillhouse.stage import StageConfig

EngineName = Literal["transformers", "vllm"]


class Sampling(StageConfig):
    """How a model is sampled. Part of the config of every stage that samples."""

    engine: EngineName = "vllm"
    """What runs the model: vllm on a GPU, transformers where vllm is not installed."""
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
    seed: int = Field(0, ge=0)
    """With a response's key it decides that response's random numbers."""

    @property
    def sampling_id(self) -> str:
        """Names these settings in the rows: sixteen hex digits."""
        return hashlib.sha256(self.model_dump_json(include=set(Sampling.model_fields)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Request:
    """One response to be sampled."""

    key: ResponseKey
    messages: Sequence[Message]
    seed: int


@dataclass(frozen=True)
class Completion:
    """What a model wrote. ``finish_reason``: stop, length or error."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class Engine(Protocol):
    """A loaded model."""

    def sample(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Completion]]:
        """A completion for every request, in any order; equal requests get equal completions."""


def row_seed(seed: int, key: Iterable[object]) -> int:
    """The seed of one response, 0 <= seed < 2**62: from its key, so that neither order nor sharding changes it."""
    text = "/".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2


def response(sampling: Sampling, request: Request, completion: Completion) -> Response:
    """The row of one completion, with its thinking and answer told apart."""
    parsed = parse(completion.text)
    question_id, model, prompt_kind, number, sample_index = request.key
    return Response(
        question_id=question_id, model=model, prompt_kind=prompt_kind, round=number, sample_index=sample_index,
        text=completion.text, think=parsed.think, answer=parsed.answer, finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens, completion_tokens=completion.completion_tokens, seed=request.seed,
        sampling_id=sampling.sampling_id,
    )  # fmt: skip


def load(sampling: Sampling, model: str | Path) -> Engine:
    """Load a model (a checkpoint directory, or a name on the Hugging Face hub) in the engine that the config names.

    Raises EngineFailed if the engine is not installed or the model cannot be loaded.
    """
    if sampling.engine == "vllm":
        from stillhouse.sampling.vllm import VllmEngine

        return VllmEngine(str(model), sampling)
    from stillhouse.sampling.transformers import TransformersEngine

    return TransformersEngine(str(model), sampling)
