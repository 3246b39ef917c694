"""Answers -> verdicts by a reward model: a sequence classifier that rates a conversation on several attributes.

The quality score is (coherence + correctness + helpfulness) / 12, each clipped to 0 … 4 (DeepDistill, Eq. 4).
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import httpx

from stillhouse.errors import EngineFailed
from stillhouse.models.references import name_of
from stillhouse.verification.config import QUALITY_ATTRIBUTES, RewardModelConfig
from stillhouse.verification.judging import SHOWN_CHARS, TOP_OF_ATTRIBUTE, quality, verdict
from stillhouse.verification.verdict import Verdict, VerificationRequest, unanswered
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.text import excerpt

METHOD = "reward model"
ENDPOINT = "STILLHOUSE_REWARD_ENDPOINT"
"""The address of a vLLM server with the reward model, such as http://rewards:8000."""
REQUEST_TIMEOUT_S = 300


class Rater(Protocol):
    """A loaded reward model."""

    def rate(self, conversations: Sequence[list[Message]]) -> Iterator[Sequence[float]]:
        """The outputs for every conversation, in order."""


def rated(rater: Rater, config: RewardModelConfig, requests: Sequence[VerificationRequest]) -> list[Verdict]:
    """One verdict for every request, in order."""
    verdicts = [unanswered(request, METHOD) for request in requests]
    open_indices = [index for index, nothing in enumerate(verdicts) if nothing is None]
    conversations = [_conversation(requests[index]) for index in open_indices]
    for index, outputs in zip(open_indices, rater.rate(conversations), strict=True):
        verdicts[index] = _verdict(config, outputs)
    return [verdict for verdict in verdicts if verdict is not None]


def load(config: RewardModelConfig) -> Rater:
    """Load or reach the model. Raises EngineFailed."""
    if config.engine == "endpoint":
        return ServedRater(config)
    # torch is not in every image that verifies.
    from stillhouse.verification.local_rater import LocalRater

    return LocalRater(config)


def _verdict(config: RewardModelConfig, outputs: Sequence[float]) -> Verdict:
    if len(outputs) != len(config.attributes):
        msg = (
            f"reward model {config.model} gives {len(outputs)} outputs, the config names {len(config.attributes)} attributes "
            f"({', '.join(config.attributes)}); name its outputs, in its order"
        )
        raise EngineFailed(msg)
    values = dict(zip(config.attributes, outputs, strict=True))
    clipped = {name: min(max(values[name], 0.0), float(TOP_OF_ATTRIBUTE)) for name in QUALITY_ATTRIBUTES}
    if any(math.isnan(value) for value in clipped.values()):
        return Verdict("error", None, METHOD, f"not a number among {values}")
    return verdict(quality(clipped), 1, METHOD, " ".join(f"{name}={values[name]:.3f}" for name in QUALITY_ATTRIBUTES))


def _conversation(request: VerificationRequest) -> list[Message]:
    turns: list[Message] = [*request.messages, {"role": "assistant", "content": request.answer or ""}]
    return [{"role": turn["role"], "content": excerpt(turn["content"], SHOWN_CHARS)} for turn in turns]


class ServedRater:
    """A classifier served by vLLM: its pooling API, without the activation."""

    def __init__(self, config: RewardModelConfig) -> None:
        self._config = config
        self._url = environment.text(ENDPOINT)
        if not self._url:
            msg = f"reward model {config.model}: engine endpoint needs {ENDPOINT}, the address of the server; got none"
            raise EngineFailed(msg)

    def rate(self, conversations: Sequence[list[Message]]) -> Iterator[Sequence[float]]:
        """See Rater. ``batch_size`` requests are in flight at a time."""
        with httpx.Client(timeout=REQUEST_TIMEOUT_S) as client, ThreadPoolExecutor(self._config.batch_size) as threads:
            yield from threads.map(lambda conversation: self._outputs(client, conversation), conversations)

    def _outputs(self, client: httpx.Client, conversation: list[Message]) -> list[float]:
        body = {"model": name_of(self._config.model), "messages": conversation, "task": "classify", "use_activation": False}
        try:
            reply = client.post(f"{self._url.rstrip('/')}/pooling", json=body)
            reply.raise_for_status()
            return [float(value) for value in reply.json()["data"][0]["data"]]
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            msg = (
                f"reward model {self._config.model} at {self._url}: {type(error).__name__}: {one_line(error)}; is the server up, "
                "and does it serve this model?"
            )
            raise EngineFailed(msg) from error
