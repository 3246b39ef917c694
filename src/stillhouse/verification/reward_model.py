"""Answers -> verdicts by a reward model: a sequence classifier that rates a conversation on several attributes.

The general score is (coherence + correctness + helpfulness) / 12, each clipped to 0 … 4 (DeepDistill, Eq. 4).
"""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

from pydantic import Field, model_validator

from stillhouse.errors import EngineFailed, one_line
from stillhouse.verification.judging import ATTRIBUTES, TOP_OF_ATTRIBUTE, quality, shortened, verdict
from stillhouse.verification.verdict import Request, Verdict, unanswered
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.settings import StageConfig

METHOD = "reward model"
ENDPOINT = "STILLHOUSE_REWARD_ENDPOINT"
"""Where a served reward model answers: the address of a vLLM server, such as http://rewards:8000."""
REQUEST_TIMEOUT_S = 300


class RewardModelConfig(StageConfig):
    """A model that rates answers."""

    model: str
    """The sequence classifier (DeepDistill: Decision-Tree-Reward-Llama-3.1-8B): a hub name, a directory, or its served name."""
    engine: Literal["transformers", "endpoint"] = "transformers"
    """Where it runs: in this process, or served."""
    attributes: tuple[str, ...] = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    """What its outputs are, in order; the default is the order of HelpSteer2, on which the papers' model was trained."""
    max_length: int = Field(4096, ge=16)
    """Tokens of a conversation; of a longer one the end is rated. The paper gives no value."""
    batch_size: int = Field(8, ge=1)
    """Conversations to a batch."""

    @model_validator(mode="after")
    def _rates_what_the_score_needs(self) -> "RewardModelConfig":
        missing = sorted(set(ATTRIBUTES) - set(self.attributes))
        if missing:
            msg = f"attributes must name {', '.join(ATTRIBUTES)}; {', '.join(missing)} is missing"
            raise ValueError(msg)
        return self


class Rater(Protocol):
    """A loaded reward model."""

    def rate(self, conversations: Sequence[list[Message]]) -> Iterator[Sequence[float]]:
        """The outputs for every conversation, in order."""


def rated(rater: Rater, config: RewardModelConfig, requests: Sequence[Request]) -> list[Verdict]:
    """One verdict for every request, in order."""
    made = [unanswered(request, METHOD) for request in requests]
    places = [place for place, nothing in enumerate(made) if nothing is None]
    conversations = [_conversation(requests[place]) for place in places]
    for place, outputs in zip(places, rater.rate(conversations), strict=True):
        made[place] = _verdict(config, outputs)
    return [each for each in made if each is not None]


def load(config: RewardModelConfig) -> Rater:
    """Load or reach the model. Raises EngineFailed."""
    return ServedRater(config) if config.engine == "endpoint" else LocalRater(config)


def _verdict(config: RewardModelConfig, outputs: Sequence[float]) -> Verdict:
    if len(outputs) != len(config.attributes):
        msg = (
            f"reward model {config.model} gives {len(outputs)} outputs, the config names {len(config.attributes)} attributes "
            f"({', '.join(config.attributes)}); name what it gives, in its order"
        )
        raise EngineFailed(msg)
    values = dict(zip(config.attributes, outputs, strict=True))
    clipped = {name: min(max(values[name], 0.0), float(TOP_OF_ATTRIBUTE)) for name in ATTRIBUTES}
    if any(math.isnan(value) for value in clipped.values()):
        return Verdict("error", None, METHOD, f"not a number among {values}")
    return verdict(quality(clipped), 1, METHOD, " ".join(f"{name}={values[name]:.3f}" for name in ATTRIBUTES))


def _conversation(request: Request) -> list[Message]:
    turns: list[Message] = [*request.messages, {"role": "assistant", "content": request.answer or ""}]
    return [{"role": turn["role"], "content": shortened(turn["content"])} for turn in turns]


class LocalRater:
    """A sequence classifier by transformers, on a GPU if there is one."""

    def __init__(self, config: RewardModelConfig) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._config = config
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype: Any = "auto" if self._device == "cuda" else torch.float32
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                config.model, padding_side="right", truncation_side="left", trust_remote_code=False
            )
            self._model = AutoModelForSequenceClassification.from_pretrained(config.model, dtype=dtype, trust_remote_code=False)
        except (OSError, ValueError, SafetensorError) as error:
            msg = f"reward model {config.model}: transformers cannot load it: {one_line(error)}; is it a sequence classifier?"
            raise EngineFailed(msg) from error
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model.config.pad_token_id = self._tokenizer.pad_token_id
        self._model.eval().to(self._device)

    def rate(self, conversations: Sequence[list[Message]]) -> Iterator[Sequence[float]]:
        """See Rater."""
        import torch

        for start in range(0, len(conversations), self._config.batch_size):
            texts = [self._text(each) for each in conversations[start : start + self._config.batch_size]]
            length = self._config.max_length
            encoded = self._tokenizer(
                texts, return_tensors="pt", padding=True, truncation=True, max_length=length, add_special_tokens=False
            )  # fmt: skip
            with torch.inference_mode():
                logits = self._model(**encoded.to(self._device)).logits
            yield from logits.float().cpu().tolist()

    def _text(self, conversation: list[Message]) -> str:
        if self._tokenizer.chat_template is None:
            return "\n".join(each["content"] for each in conversation)
        return str(self._tokenizer.apply_chat_template(conversation, tokenize=False))


class ServedRater:
    """A classifier that vLLM serves: its pooling API, without the activation."""

    def __init__(self, config: RewardModelConfig) -> None:
        self._config = config
        self._url = os.environ.get(ENDPOINT, "")
        if not self._url:
            msg = f"reward model {config.model}: engine endpoint needs {ENDPOINT}, the address of the server; got none"
            raise EngineFailed(msg)

    def rate(self, conversations: Sequence[list[Message]]) -> Iterator[Sequence[float]]:
        """See Rater. ``batch_size`` requests are under way at a time."""
        from concurrent.futures import ThreadPoolExecutor

        import httpx

        with httpx.Client(timeout=REQUEST_TIMEOUT_S) as client, ThreadPoolExecutor(self._config.batch_size) as threads:
            yield from threads.map(lambda each: self._outputs(client, each), conversations)

    def _outputs(self, client: Any, conversation: list[Message]) -> list[float]:
        import httpx

        body = {"model": self._config.model, "messages": conversation, "task": "classify", "use_activation": False}
        try:
            reply = client.post(f"{self._url.rstrip('/')}/pooling", json=body)
            reply.raise_for_status()
            return [float(value) for value in reply.json()["data"][0]["data"]]
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            msg = f"reward model {self._config.model} at {self._url}: {type(error).__name__}: {one_line(error)}; is it there?"
            raise EngineFailed(msg) from error
