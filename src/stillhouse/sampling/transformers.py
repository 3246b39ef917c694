"""Sampling by transformers, for machines without vLLM.

Random numbers come from a hash of (row seed, position, token), not from a generator's state: apart from float rounding, a row's
response does not depend on the rest of its batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from transformers import AutoTokenizer, GenerationConfig, PreTrainedModel

from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.models.loadable import ROUTER_LOGITS, gguf_arguments, is_trusted
from stillhouse.models.loading import causal_model, failures
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Request
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.seeds import GOLDEN_GAMMA, Modular64, finalised

BATCH_TOKENS = 2_000_000
"""Default bound on rows x vocabulary of a batch: its logits (4 bytes each) and its cache stay small."""
WINDOW = 2048
"""Requests that are sorted by length together."""
_POSITION_FACTOR = 0xD1B54A32D192ED03
"""Separates the numbers of one position from those of the next; odd, and unrelated to GOLDEN_GAMMA."""


class InMemoryEngine:
    """A causal language model that is loaded already, such as one in training, as an ``Engine``."""

    def __init__(self, model: PreTrainedModel, chat: ChatFormat, sampling: Sampling) -> None:
        """``chat``: how the model reads a conversation."""
        self._model, self._chat, self._sampling = model, chat, sampling
        self._tokenizer = chat.tokenizer
        self._stops = chat_templates.stop_ids(chat, model.generation_config)
        default_rows = max(8, min(256, BATCH_TOKENS // model.config.get_text_config().vocab_size))
        self._batch_rows = environment.whole("STILLHOUSE_BATCH_ROWS", default_rows)

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """See Engine. Prompts of similar length are batched together."""
        source = iter(requests)
        for window in iter(lambda: list(islice(source, WINDOW)), []):
            prompts = {id(request): self._chat.prompt(request.messages) for request in window}
            ordered = sorted(window, key=lambda request: len(prompts[id(request)]))
            for start in range(0, len(ordered), self._batch_rows):
                batch = ordered[start : start + self._batch_rows]
                yield from zip(batch, self._generate(batch, [prompts[id(request)] for request in batch]), strict=True)

    def _generate(self, batch: Sequence[Request], prompts: list[str]) -> list[Completion]:
        encoded = self._tokenizer(
            prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        ).to(self._model.device)  # fmt: skip
        length = encoded["input_ids"].shape[1]
        settings = GenerationConfig(
            max_new_tokens=self._sampling.max_tokens, do_sample=False,
            pad_token_id=self._tokenizer.pad_token_id, eos_token_id=self._stops,
        )  # fmt: skip
        with torch.no_grad():  # not inference_mode: buffers of a model in training may be made here
            tokens = self._model.generate(
                input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], generation_config=settings,
                logits_processor=[SeededSampler([request.seed for request in batch], length, self._sampling)],
            )  # fmt: skip
        prompt_lengths = encoded["attention_mask"].sum(dim=1).tolist()
        return [self._completion(row, int(n)) for row, n in zip(tokens[:, length:].tolist(), prompt_lengths, strict=True)]

    def _completion(self, tokens: list[int], prompt_tokens: int) -> Completion:
        end = next((place for place, token in enumerate(tokens) if token in self._stops), None)
        content = tokens[:end]
        return Completion(
            self._chat.read(content), "length" if end is None else "stop", prompt_tokens, len(content) + (end is not None)
        )


class TransformersEngine(InMemoryEngine):
    """A causal language model and its tokenizer, on a GPU if there is one."""

    def __init__(self, model: str, sampling: Sampling) -> None:
        """Raises EngineFailed if the model cannot be loaded."""
        trusted, gguf = is_trusted(Path(model), sampling.trusted_code), gguf_arguments(Path(model))
        with failures(f"model {model}"):
            tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left", trust_remote_code=trusted, **gguf)
        loaded = causal_model(Path(model), f"model {model}", dtype=_dtype(), trusted=trusted, **gguf)
        text_config = loaded.config.get_text_config()
        if hasattr(text_config, ROUTER_LOGITS):  # some trainer left it on, and generation with a cache fails with it
            setattr(text_config, ROUTER_LOGITS, False)
        loaded.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        super().__init__(loaded, chat_templates.of_teacher(tokenizer, model, sampling.chat_template_kwargs), sampling)


def _dtype() -> torch.dtype | str:
    """Of weights for inference: bf16 on a GPU, whatever the checkpoint was published in; its own where a GPU has no bf16."""
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else "auto"


class SeededSampler:
    """A logits processor: argmax of its result is a draw from the tempered, top-p distribution (the Gumbel-max trick)."""

    def __init__(self, seeds: list[int], prompt_length: int, sampling: Sampling) -> None:
        self._seeds, self._prompt_length, self._sampling = seeds, prompt_length, sampling

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores, shape (rows, vocabulary) -> perturbed float32 scores of the same shape. ``input_ids``: int64 (rows, length)."""
        if self._sampling.temperature == 0:
            return scores
        scores = _nucleus(scores.float() / self._sampling.temperature, self._sampling.top_p)
        seeds = torch.tensor(self._seeds, device=scores.device)
        uniform = hashed_uniform(seeds, input_ids.shape[1] - self._prompt_length, scores.shape[1])
        return scores - torch.log(-torch.log(uniform))


def _nucleus(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Scores, shape (rows, vocabulary), with -inf outside the smallest set of tokens whose probability reaches ``top_p``."""
    if top_p == 1:
        return scores
    ordered, order = scores.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(dim=-1)
    outside = probabilities.cumsum(dim=-1) - probabilities >= top_p
    return scores.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), float("-inf"))


def hashed_uniform(seeds: torch.Tensor, position: int, vocabulary: int) -> torch.Tensor:
    """Uniform numbers in (0, 1), float64 of shape (rows, vocabulary): the splitmix64 finaliser of (seed, position, token).

    ``seeds``: int64 of shape (rows,).
    """
    token = torch.arange(vocabulary, device=seeds.device, dtype=torch.int64)
    bits = finalised(seeds[:, None] + token * _signed(GOLDEN_GAMMA) + _signed(position * _POSITION_FACTOR), _OF_TENSORS)
    return (_shifted(bits, 40).double() + 0.5) / (1 << 24)


def _signed(value: int) -> int:
    """A number modulo 2**64, as torch's signed int64 represents it."""
    value %= 1 << 64
    return value - (1 << 64) if value >= 1 << 63 else value


def _shifted(bits: torch.Tensor, by: int) -> torch.Tensor:
    """Logical right shift: torch's own keeps the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


_OF_TENSORS: Modular64[torch.Tensor] = Modular64(lambda bits, factor: bits * _signed(factor), _shifted)
"""int64 tensors, whose products wrap by themselves."""
