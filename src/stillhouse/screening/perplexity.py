"""How surprising a text is to a model: exp of the mean negative log-probability of its tokens but the first (DeepDistill §2.5)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from stillhouse.models.loadable import gguf_arguments
from stillhouse.models.loading import causal_model, failures
from stillhouse.screening.config import PerplexityEngine
from stillhouse.screening.rules import Scorer

CHUNK = 512
"""Tokens of a text per forward pass; the model's cache holds the earlier ones."""
LOGITS = 1 << 26
"""Most logits of one forward pass: 256 MiB as float32."""


def load(engine: PerplexityEngine, model: str, max_tokens: int) -> Scorer:
    """The model in a directory. Raises EngineFailed if it cannot be loaded."""
    return (VllmScorer if engine == "vllm" else TransformersScorer)(model, max_tokens)


class TransformersScorer:
    """A causal language model and its tokenizer, on a GPU if there is one."""

    def __init__(self, model: str, max_tokens: int) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        gguf, label = gguf_arguments(Path(model)), f"perplexity model {model}"
        with failures(label):
            self._tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False, **gguf)
        dtype = "auto" if self._device == "cuda" else torch.float32
        loaded = causal_model(Path(model), label, dtype=dtype, trusted=False, **gguf)
        self._model: Any = loaded.eval().to(self._device)
        self._max_tokens = min(max_tokens, getattr(loaded.config, "max_position_embeddings", None) or max_tokens)
        self._rows = max(1, LOGITS // (CHUNK * loaded.config.vocab_size))

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """See ``rules.Scorer``. Texts of similar length are batched together."""
        tokens = [self._tokenizer(text)["input_ids"][: self._max_tokens] for text in texts]
        perplexities: list[float | None] = [None] * len(texts)
        scored = (index for index, text_tokens in enumerate(tokens) if len(text_tokens) > 1)
        ordered = sorted(scored, key=lambda index: len(tokens[index]))
        for start in range(0, len(ordered), self._rows):
            batch = ordered[start : start + self._rows]
            for index, loss in zip(batch, self._losses([tokens[index] for index in batch]), strict=True):
                perplexities[index] = math.exp(loss)
        return perplexities

    def _losses(self, batch: list[list[int]]) -> list[float]:
        """Mean negative log-probability of every row's tokens. Rows are padded on the right, out of sight of their tokens."""
        longest = max(map(len, batch))
        padded = torch.tensor([row + [0] * (longest - len(row)) for row in batch], device=self._device)
        lengths = torch.tensor([len(row) for row in batch], device=self._device)
        total, cache = torch.zeros(len(batch), dtype=torch.float64, device=self._device), None
        with torch.inference_mode():
            for start, end in pairwise([*range(0, longest - 1, CHUNK), longest - 1]):
                output = self._model(input_ids=padded[:, start:end], past_key_values=cache, use_cache=True)
                cache = output.past_key_values
                total += _negative_log_likelihood(output.logits, padded[:, start + 1 : end + 1], lengths - start - 1)
        return (total / (lengths - 1)).tolist()  # type: ignore[no-any-return]


def _negative_log_likelihood(logits: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The negative log-likelihood of each row's first ``lengths`` targets, summed; float64, (n_rows,).

    Logits: (n_rows, n_tokens, n_vocabulary); targets: int64, (n_rows, n_tokens); lengths: int64, (n_rows,).
    """
    # One row for each token: over a transposed vocabulary scoring takes half as long again on a CPU, and more memory.
    losses = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    inside = torch.arange(targets.shape[1], device=targets.device)[None, :] < lengths[:, None]
    return losses.double().masked_fill(~inside, 0).sum(dim=1)


class VllmScorer:
    """A ``vllm.LLM`` that returns the log-probabilities of its prompts. vLLM is in one image only: imported where it is used."""

    def __init__(self, model: str, max_tokens: int) -> None:
        from stillhouse.sampling.vllm import load_llm

        self._llm = load_llm(model)
        self._max_tokens = max_tokens

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """See ``rules.Scorer``."""
        from vllm import SamplingParams

        tokenizer = self._llm.get_tokenizer()
        # A prompt leaves room for the one token that is sampled after it and discarded.
        longest = min(self._max_tokens, self._llm.llm_engine.model_config.max_model_len - 1)
        prompts = [{"prompt_token_ids": tokenizer.encode(text)[:longest]} for text in texts]
        scored = [index for index, prompt in enumerate(prompts) if len(prompt["prompt_token_ids"]) > 1]
        parameters = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
        perplexities: list[float | None] = [None] * len(texts)
        outputs = self._llm.generate([prompts[index] for index in scored], parameters, use_tqdm=False)
        for index, output in zip(scored, outputs, strict=True):
            # The first token has no log-probability.
            chances = zip(output.prompt_token_ids[1:], output.prompt_logprobs[1:], strict=True)
            logs = [by_token[token].logprob for token, by_token in chances]
            perplexities[index] = math.exp(-math.fsum(logs) / len(logs))
        return perplexities
