"""The seam between stages and models: requests in, completions out, each row's result independent of the others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stillhouse.errors import BadConfig
from stillhouse.execution import extensions
from stillhouse.sampling.config import ENGINES, Sampling
from stillhouse.vocabulary.rows import FinishReason, Message, Response, ResponseKey
from stillhouse.vocabulary.transcript import ANSWER, END_THINK, THINK, Parsed, opened, parse


@dataclass(frozen=True)
class Request:
    """One response to sample."""

    key: ResponseKey
    messages: Sequence[Message]
    seed: int


@dataclass(frozen=True)
class Completion:
    """What a model wrote. ``finish_reason``: stop, length or error.

    An error is a value too: ``failure`` names its kind, ``detail`` explains it. ``retried`` lists the kinds of the failed tries
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
    """A loaded model. An engine of your own is a class with this method, constructed with a model's name and a Sampling."""

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """A completion for every request, in any order; equal requests get equal completions.

        Requests are read as capacity allows and completions are yielded as they finish: neither has to fit in memory.
        """


def response(sampling: Sampling, request: Request, completion: Completion, sampling_id: str | None = None) -> Response:
    """The row of one completion, split into thinking and answer; ``sampling_id`` if more than the settings decides the response."""
    question_id, model, prompt_kind, number, sample_index = request.key
    text = opened(completion.text)
    parsed = parse(text)
    if prompt_kind == "summary" and not any(tag in text for tag in (THINK, END_THINK, ANSWER)):
        # A summary is asked for without tags: all of it is the answer.
        parsed = Parsed(None, text.strip() or None)
    return Response(
        question_id=question_id, model=model, prompt_kind=prompt_kind, round=number, sample_index=sample_index,
        text=text, think=parsed.think, answer=parsed.answer, finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens, completion_tokens=completion.completion_tokens, seed=request.seed,
        sampling_id=sampling_id or sampling.sampling_id,
    )  # fmt: skip


def load(sampling: Sampling, model: str | Path) -> Engine:
    """Load a model in the config's engine: a checkpoint directory, a name on the Hugging Face hub, or a name at an endpoint.

    Raises EngineFailed if the model cannot be loaded or is not served, BadConfig if the engine cannot be imported here.
    """
    engine_type = extensions.load("engines", sampling.engine, ENGINES)
    if not (isinstance(engine_type, type) and hasattr(engine_type, "sample")):
        msg = f"engine {sampling.engine}: {engine_type!r} is not a class with a method sample; see {Engine.__module__}.Engine"
        raise BadConfig(msg)
    engine: Engine = engine_type(str(model), sampling)
    return engine
