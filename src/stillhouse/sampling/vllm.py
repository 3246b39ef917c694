"""Sampling by vLLM in this process: the engine of GPU pods."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from stillhouse.errors import EngineFailed, one_line
from stillhouse.sampling.engine import Completion, Request, Sampling


class VllmEngine:
    """One ``vllm.LLM``. Its hardware comes from the environment: ``STILLHOUSE_TENSOR_PARALLEL`` GPUs to a replica (default 1)."""

    def __init__(self, model: str, sampling: Sampling) -> None:
        try:
            hardware = _hardware()
            import vllm
        except ImportError as error:
            msg = "engine vllm: vllm is not installed here; use the vllm image (`stillhouse[vllm]`) or --set engine=transformers"
            raise EngineFailed(msg) from error
        length = os.environ.get("STILLHOUSE_MAX_MODEL_LEN")
        try:
            self._llm = vllm.LLM(
                model=model, enable_prefix_caching=True,
                tensor_parallel_size=int(os.environ.get("STILLHOUSE_TENSOR_PARALLEL", "1")),
                max_model_len=int(length) if length else None, disable_log_stats=True, **hardware,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            msg = f"model {model}: vllm cannot load it: {one_line(error)}"
            raise EngineFailed(msg) from error
        if self._llm.get_tokenizer().chat_template is None:
            msg = f"model {model}: its tokenizer has no chat template; add one to tokenizer_config.json"
            raise EngineFailed(msg)
        self._sampling = sampling

    def sample(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Completion]]:
        """See Engine. Every request has its own seed, so a row does not depend on the batch it is in."""
        from vllm import SamplingParams

        given = self._sampling
        parameters = [
            SamplingParams(temperature=given.temperature, top_p=given.top_p, max_tokens=given.max_tokens, seed=request.seed)
            for request in requests
        ]
        outputs = self._llm.chat([list(request.messages) for request in requests], parameters, use_tqdm=False)
        for request, output in zip(requests, outputs, strict=True):
            written = output.outputs[0]
            reason = written.finish_reason if written.finish_reason in {"stop", "length"} else "error"
            yield request, Completion(written.text, reason, len(output.prompt_token_ids or ()), len(written.token_ids))


def _hardware() -> dict[str, Any]:
    """Arguments about the machine. A CPU gets fp32 (bf16 is emulated there), no graph capture, and one process."""
    import torch

    if torch.cuda.is_available():
        return {}
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    return {"dtype": "float32", "enforce_eager": True, "distributed_executor_backend": "uni"}
