"""How surprising a model finds a text: exp of its mean negative log-probability by token, all but the first (DeepDistill §2.5)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from stillhouse.errors import EngineFailed, one_line
from stillhouse.sampling.engine import EngineName

if TYPE_CHECKING:
    import torch

CHUNK = 512
"""Tokens of a text that go through the model at a time: its cache holds those before."""
LOGITS = 1 << 26
"""Most logits of one pass: 256 MiB as float32."""


class Scorer(Protocol):
    """A loaded model."""

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """The perplexity of every text; None for one of fewer than two tokens. Longer ones than the model takes are cut."""


def load(engine: EngineName, model: str, max_tokens: int) -> Scorer:
    """The model (a checkpoint directory, or a name on the Hugging Face hub). Raises EngineFailed if it cannot be loaded."""
    return (VllmScorer if engine == "vllm" else TransformersScorer)(model, max_tokens)


class TransformersScorer:
    """A causal language model and its tokenizer, on a GPU if there is one."""

    def __init__(self, model: str, max_tokens: int) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
            dtype = "auto" if self._device == "cuda" else torch.float32
            loaded = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, trust_remote_code=False)
        except (OSError, ValueError, SafetensorError) as error:
            msg = f"perplexity model {model}: transformers cannot load it: {one_line(error)}; give a causal language model"
            raise EngineFailed(msg) from error
        self._model: Any = loaded.eval().to(self._device)
        self._max_tokens = min(max_tokens, getattr(loaded.config, "max_position_embeddings", None) or max_tokens)
        self._rows = max(1, LOGITS // (CHUNK * loaded.config.vocab_size))

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """See Scorer. Texts of like length are batched together."""
        tokens = [self._tokenizer(text)["input_ids"][: self._max_tokens] for text in texts]
        found: list[float | None] = [None] * len(texts)
        ordered = sorted((place for place, each in enumerate(tokens) if len(each) > 1), key=lambda place: len(tokens[place]))
        for start in range(0, len(ordered), self._rows):
            batch = ordered[start : start + self._rows]
            for place, loss in zip(batch, self._losses([tokens[place] for place in batch]), strict=True):
                found[place] = math.exp(loss)
        return found

    def _losses(self, batch: list[list[int]]) -> list[float]:
        """Mean negative log-probability of every row's tokens. What pads a row stands right of it, where no token of it looks."""
        import torch

        longest = max(map(len, batch))
        padded = torch.tensor([each + [0] * (longest - len(each)) for each in batch], device=self._device)
        lengths = torch.tensor([len(each) for each in batch], device=self._device)
        total, cache = torch.zeros(len(batch), dtype=torch.float64, device=self._device), None
        with torch.inference_mode():
            for start, end in pairwise([*range(0, longest - 1, CHUNK), longest - 1]):
                made = self._model(input_ids=padded[:, start:end], past_key_values=cache, use_cache=True)
                cache = made.past_key_values
                total += _negative_log_likelihood(made.logits, padded[:, start + 1 : end + 1], lengths - start - 1)
        return (total / (lengths - 1)).tolist()  # type: ignore[no-any-return]


def _negative_log_likelihood(logits: "torch.Tensor", targets: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
    """Logits (rows, tokens, vocabulary) and the tokens they are of -> the sum of each row's first ``lengths``."""
    import torch

    losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")
    inside = torch.arange(targets.shape[1], device=targets.device)[None, :] < lengths[:, None]
    return losses.double().masked_fill(~inside, 0).sum(dim=1)


class VllmScorer:
    """One ``vllm.LLM`` that gives the log-probabilities of its prompts."""

    def __init__(self, model: str, max_tokens: int) -> None:
        from stillhouse.sampling.engine import Sampling
        from stillhouse.sampling.vllm import VllmEngine

        # The engine's own LLM: loaded for the hardware that there is.
        self._llm = VllmEngine(model, Sampling(engine="vllm")).llm
        self._max_tokens = max_tokens

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """See Scorer."""
        from vllm import SamplingParams

        tokenizer = self._llm.get_tokenizer()
        # A prompt needs room for the one token that is sampled after it and thrown away.
        longest = min(self._max_tokens, self._llm.llm_engine.model_config.max_model_len - 1)
        prompts = [{"prompt_token_ids": tokenizer.encode(text)[:longest]} for text in texts]
        scored = [place for place, prompt in enumerate(prompts) if len(prompt["prompt_token_ids"]) > 1]
        parameters = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
        found: list[float | None] = [None] * len(texts)
        outputs = self._llm.generate([prompts[place] for place in scored], parameters, use_tqdm=False)
        for place, output in zip(scored, outputs, strict=True):
            # The first token has no log-probability.
            chances = zip(output.prompt_token_ids[1:], output.prompt_logprobs[1:], strict=True)
            logs = [by_token[token].logprob for token, by_token in chances]
            found[place] = math.exp(-math.fsum(logs) / len(logs))
        return found
