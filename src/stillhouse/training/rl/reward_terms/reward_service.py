"""A term of the reward that is a service of the user's own, asked by HTTP.

A request is a POST of ``{"rollouts": [{question_id, category, messages, reference_answer, response, verdict}, …]}``, where
``verdict`` is null or ``{kind, score}``, the score from 0 to 1. The reply is ``{"rewards": [0.5, null, {"error": "why"}, …]}``, one
for each rollout and in their order: a number, null for a rollout that cannot be rewarded, or an error. It may state the service's
``version``.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.training.rl.reward_terms.config import EndpointTerm
from stillhouse.training.rl.reward_terms.rollout import FailureKind, Rollout, TermReward
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.categories import SCALES
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.patience import retried
from stillhouse.vocabulary.text import shortened

ADDRESSES = "STILLHOUSE_REWARDS"
"""Where services are: ``style=http://host:9000,safety=http://other:9000/score``."""
IN_FLIGHT = 8
"""Requests of one process at a time."""
REPLY_BYTES = 64 * 2**20
"""Longest reply."""
SHOWN_CHARS = 120
"""Characters of a reply that an error shows."""
PREFLIGHT_S = 10
"""Seconds in which a service must answer before training begins."""


class _Unanswered(Exception):
    """A request without rewards: how it failed, and why."""

    failure: FailureKind = "error"


class _TooLate(_Unanswered):
    failure: FailureKind = "timeout"


class _Unreachable(_Unanswered):
    failure: FailureKind = "unreachable"


class _Refused(_Unanswered):
    """Another try would meet it again."""

    failure: FailureKind = "refused"


class _BadReply(_Refused):
    failure: FailureKind = "bad_reply"


class EndpointReward:
    """Asks the service for many rollouts at a time, and again until the deadline if it does not answer."""

    def __init__(self, config: EndpointTerm) -> None:
        """Raises BadConfig if the environment has no address for it."""
        self._config, self._url = config, _address(config.name)

    def preflight(self) -> None:
        """Send a request without rollouts. Raises EngineFailed, or BadConfig if the service is at another version."""
        try:
            with httpx.Client() as client:
                self._ask(client, [], time.monotonic() + PREFLIGHT_S)
        except _Unanswered as error:
            problem = BadConfig if error.failure == "refused" else EngineFailed
            name = self._config.name
            msg = f"reward {name}: the service at {self._url} does not answer as it should: {error}; see to it, or to {ADDRESSES}"
            raise problem(msg) from error

    def score(self, rollouts: Sequence[Rollout]) -> list[TermReward]:
        """See RewardTerm."""
        with httpx.Client() as client, ThreadPoolExecutor(IN_FLIGHT) as threads:
            starts = range(0, len(rollouts), self._config.batch_size)
            batches = threads.map(lambda start: self._batch(client, rollouts[start : start + self._config.batch_size]), starts)
            return [reward for batch in batches for reward in batch]

    def _batch(self, client: httpx.Client, rollouts: Sequence[Rollout]) -> list[TermReward]:
        until_s = time.monotonic() + self._config.timeout_s
        try:
            return retried(
                lambda: self._ask(client, rollouts, until_s),
                until_s=until_s, is_refusal=lambda error: isinstance(error, _Refused),
            )  # fmt: skip
        except _Unanswered as error:
            return [TermReward.failed(error.failure, str(error))] * len(rollouts)

    def _ask(self, client: httpx.Client, rollouts: Sequence[Rollout], until_s: float) -> list[TermReward]:
        """One request. Raises _Unanswered."""
        body = {"rollouts": [_as_json(rollout) for rollout in rollouts]}
        try:
            patience_s = max(1.0, until_s - time.monotonic())
            with client.stream("POST", self._url, json=body, timeout=patience_s) as stream:
                reply = _read(stream, time.monotonic() + patience_s)
        except httpx.TimeoutException as error:
            raise _TooLate(one_line(error)) from error
        except httpx.HTTPError as error:
            raise _Unreachable(one_line(error)) from error
        if not reply.is_success:
            is_passing = reply.status_code >= 500 or reply.status_code in {408, 425, 429}
            msg = f"HTTP {reply.status_code}: {_shown(reply)}"
            raise (_Unanswered if is_passing else _Refused)(msg)
        return self._read(reply, len(rollouts))

    def _read(self, reply: httpx.Response, n_rollouts: int) -> list[TermReward]:
        """The rewards in a reply. Raises _BadReply, or _Refused for a service of another version."""
        try:
            content = reply.json()
            rewards, version = list(content["rewards"]), str(content.get("version", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f'its reply is not {{"rewards": […]}} in JSON but {_shown(reply)}'
            raise _BadReply(msg) from error
        if len(rewards) != n_rollouts:
            msg = f"{len(rewards)} rewards for {n_rollouts} rollouts"
            raise _BadReply(msg)
        if self._config.version and version and version != self._config.version:
            msg = f"it is at version {version}, the recipe says {self._config.version}"
            raise _Refused(msg)
        return [_reward(value) for value in rewards]


def _read(stream: httpx.Response, until_s: float) -> httpx.Response:
    """The whole reply. Raises _TooLate for one that trickles in past the deadline, _BadReply for one that does not end.

    httpx bounds the wait for each piece alone.
    """
    content = bytearray()
    for piece in stream.iter_bytes():
        content += piece
        if time.monotonic() > until_s:
            msg = f"its reply was not complete in time, after {len(content):,} bytes"
            raise _TooLate(msg)
        if len(content) > REPLY_BYTES:
            msg = f"its reply exceeds {REPLY_BYTES:,} bytes"
            raise _BadReply(msg)
    return httpx.Response(stream.status_code, content=bytes(content))


def _shown(reply: httpx.Response) -> str:
    return repr(shortened(" ".join(reply.text.split()), SHOWN_CHARS))


def _address(name: str) -> str:
    entries = dict(entry.strip().partition("=")[::2] for entry in environment.text(ADDRESSES).split(",") if entry.strip())
    if not entries.get(name, "").startswith(("http://", "https://")):
        known = ", ".join(f"{key}={value}" for key, value in entries.items()) or "nothing"
        msg = f"reward {name}: {ADDRESSES} has no URL for it, got {known}; set it to {name}=http://host:port"
        raise BadConfig(msg)
    return entries[name]


def _as_json(rollout: Rollout) -> dict[str, Any]:
    question, verdict = rollout.question, rollout.verdict
    score = None if verdict is None or verdict.verify_score is None else verdict.verify_score / SCALES[question.category]
    return {
        "question_id": question.question_id, "category": question.category, "messages": list(question.messages),
        "reference_answer": question.reference_answer, "response": rollout.text,
        "verdict": verdict and {"kind": verdict.kind, "score": score},
    }  # fmt: skip


def _reward(value: Any) -> TermReward:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return TermReward.of(value)
    if isinstance(value, dict) and "error" in value:
        return TermReward.failed("error", str(value["error"]))
    return TermReward.failed("bad_reply", f"not a number: {value!r}")
