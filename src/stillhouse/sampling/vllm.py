"""Sampling by vLLM in this process: the engine of GPU pods. vllm and torch are imported on use: only some images have them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from stillhouse.errors import EngineFailed
from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.models.loadable import is_trusted, weights_path
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Request
from stillhouse.sampling.replies import refusal_kind
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.ids import prompt_text
from stillhouse.vocabulary.masking import one_line

AHEAD = 1024
"""Requests queued in vLLM: more than it runs at once, so that its scheduler never waits for one."""


def load_llm(model: str, trusted_code: Sequence[str] = ()) -> Any:
    """A ``vllm.LLM`` for this hardware. Raises EngineFailed if vLLM is not installed or cannot load the model."""
    try:
        arguments = hardware()
        import vllm
    except ImportError as error:
        msg = "engine vllm: vllm is not installed here; use the vllm image (`stillhouse[vllm]`) or --set engine=transformers"
        raise EngineFailed(msg) from error
    try:
        return vllm.LLM(
            model=str(weights_path(Path(model))), enable_prefix_caching=True,
            trust_remote_code=is_trusted(Path(model), trusted_code),
            tensor_parallel_size=environment.whole("STILLHOUSE_TENSOR_PARALLEL", 1),
            max_model_len=environment.whole("STILLHOUSE_MAX_MODEL_LEN", 0) or None, disable_log_stats=True, **arguments,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        msg = f"model {model}: vllm cannot load it: {one_line(error)}"
        raise EngineFailed(msg) from error


class RunningVllm:
    """A ``vllm.LLM`` that runs already, as an ``Engine``."""

    def __init__(self, llm: Any, chat: ChatFormat, sampling: Sampling, stops: Sequence[int]) -> None:
        """``stops``: tokens that end a response, besides those of the model's generation config as vLLM loaded it."""
        self.llm, self._chat, self._sampling, self._stops = llm, chat, sampling, list(stops)

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """See Engine. Every request has its own seed, so a row does not depend on its batch.

        The scheduler is kept full: requests are added as others finish, and completions are yielded as they finish.
        """
        source, running = iter(requests), dict[str, Request]()
        engine = self.llm.llm_engine
        try:
            while True:
                if len(running) <= AHEAD // 2:
                    yield from self._add(list(islice(source, AHEAD - len(running))), running)
                if not running:
                    return
                for output in engine.step():
                    if output.finished:
                        yield running.pop(output.request_id), self._completion(output)
        finally:
            engine.abort_request(list(running))

    def _add(self, requests: list[Request], running: dict[str, Request]) -> Iterator[tuple[Request, Completion]]:
        """Queue requests; those that vLLM refuses are yielded as failures."""
        if not requests:
            return
        try:
            names = self.llm.enqueue(self._prompts(requests), [self._parameters(request) for request in requests], use_tqdm=False)
        except ValueError as error:
            # A single request that is too long makes vLLM refuse all of them: halve the list until it is alone.
            if len(requests) == 1:
                yield requests[0], Completion("", "error", 0, 0, refusal_kind(str(error)), one_line(error))
                return
            middle = len(requests) // 2
            yield from self._add(requests[:middle], running)
            yield from self._add(requests[middle:], running)
        else:
            # enqueue returns names with a random suffix; outputs carry only the number before it.
            running.update(zip((name.partition("-")[0] for name in names), requests, strict=True))

    def _prompts(self, requests: list[Request]) -> list[Any]:
        """Token ids of each prompt; the prompt that the samples of a question share is tokenised once."""
        prompts: dict[str, Any] = {}
        for request in requests:
            text = prompt_text(request.messages)
            if text not in prompts:
                prompts[text] = {"prompt_token_ids": self._chat.ids(self._chat.prompt(request.messages))}
        return [prompts[prompt_text(request.messages)] for request in requests]

    def _parameters(self, request: Request) -> Any:
        from vllm import SamplingParams

        settings = self._sampling
        return SamplingParams(
            temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_tokens, seed=request.seed,
            stop_token_ids=self._stops,
        )  # fmt: skip

    def _completion(self, output: Any) -> Completion:
        generated, chat = output.outputs[0], self._chat
        prompt_tokens, completion_tokens = len(output.prompt_token_ids or ()), len(generated.token_ids)
        text = chat.read(generated.token_ids) if chat.has_channels else chat.completed(generated.text)
        if generated.finish_reason in {"stop", "length"}:
            return Completion(text, generated.finish_reason, prompt_tokens, completion_tokens)
        detail = f"vllm ended it with finish_reason {generated.finish_reason!r}"
        return Completion(text, "error", prompt_tokens, completion_tokens, "aborted", detail)


class VllmEngine(RunningVllm):
    """One ``vllm.LLM``. Its hardware comes from the environment: ``STILLHOUSE_TENSOR_PARALLEL`` GPUs (default 1)."""

    def __init__(self, model: str, sampling: Sampling) -> None:
        """Raises EngineFailed if vllm is not installed, or cannot load the model."""
        llm = load_llm(model, sampling.trusted_code)
        chat = chat_templates.of_teacher(llm.get_tokenizer(), model, sampling.chat_template_kwargs)
        super().__init__(llm, chat, sampling, [chat.end_id])


def hardware() -> dict[str, Any]:
    """Arguments of ``vllm.LLM`` for this machine. A CPU gets fp32 (it emulates bf16), no graph capture, and one process."""
    import torch

    if torch.cuda.is_available():
        return {}
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    return {"dtype": "float32", "enforce_eager": True, "distributed_executor_backend": "uni"}
