"""The endpoints that serve models, and how many requests each of them takes at present.

Endpoints come from the environment: ``STILLHOUSE_ENDPOINTS`` (comma-separated base URLs such as ``http://host:8000/v1``; an entry
``model=url`` serves that model alone), ``STILLHOUSE_API_KEY`` (one for all, or comma-separated in the order of the endpoints) and
``STILLHOUSE_CONCURRENCY`` (requests in flight at one endpoint, at most).
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, field

from stillhouse.errors import EngineFailed
from stillhouse.sampling.replies import BUSY, Failure
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.patience import backoff_s

CONCURRENCY = 64
START = 8
"""Requests in flight at the start: a rate limit is approached from below."""
LEAST_TRIES = 3
"""Fewer failures in a row say nothing about the endpoint."""

_ENTRY = re.compile(r"(?:(?P<model>[^=]+)=)?(?P<url>https?://[^=].*)")


@dataclass(eq=False)
class Endpoint:
    """One base URL. Times are seconds on the caller's clock.

    The limit on requests in flight rises by one with every round of answers and halves with a refusal (additive increase,
    multiplicative decrease); the refusal of a request sent before the last halving does not halve it again.
    """

    url: str
    key: str | None = None
    most: int = CONCURRENCY
    limit: float = START
    in_flight: int = 0
    paused_until: float = -math.inf
    halved_at: float = -math.inf
    failures: int = 0
    """Failures in a row."""
    silent_since: float | None = None
    """Time of the first of those failures."""
    failure_kinds: Counter[str] = field(default_factory=Counter)
    last: str = ""

    def __post_init__(self) -> None:
        self.limit = min(self.limit, self.most)

    def free(self, now: float) -> bool:
        """Whether a request may be sent now."""
        return self.in_flight < int(self.limit) and now >= self.paused_until

    def answered(self) -> None:
        """Take in an answer, also one that says what is wrong with the request."""
        self.failures, self.silent_since = 0, None
        self.limit = min(self.most, self.limit + 1 / self.limit)

    def failed(self, failure: Failure, sent: float, now: float, spread: float) -> None:
        """Take in the failure of a request sent at ``sent``; ``spread`` in [0, 1) is the jitter of the pause that follows.

        A failure that may be the request's fault causes a pause only after several in a row, and then a short one.
        """
        self.failures += 1
        self.silent_since = now if self.silent_since is None else self.silent_since
        self.failure_kinds[failure.kind] += 1
        self.last = failure.detail
        busy = failure.kind in BUSY
        if not busy and self.failures < LEAST_TRIES:
            return
        if sent >= self.halved_at:
            self.limit, self.halved_at = max(1.0, self.limit / 2), now
        wait_s = backoff_s(self.failures if busy else 1, spread)
        if failure.retry_after_s is not None:
            wait_s = failure.retry_after_s * (1 + spread / 10)
        self.paused_until = max(self.paused_until, now + wait_s)

    def gone(self, now: float, outage_s: float) -> bool:
        """Whether to give up on it: it has failed for ``outage_s``, and nothing is in flight that could still be answered."""
        silent = self.silent_since is not None and now - self.silent_since >= outage_s
        return silent and self.failures >= LEAST_TRIES and not self.in_flight

    def history(self) -> str:
        """Its failures, in a phrase."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.failure_kinds.most_common())
        return f"{self.url}: {kinds}; last: {self.last}"


def endpoints(model: str) -> list[Endpoint]:
    """The endpoints that may serve the model: those reserved for it, else those for any model. Raises EngineFailed."""
    entries = _listed("STILLHOUSE_ENDPOINTS")
    keys = _listed("STILLHOUSE_API_KEY")
    if len(keys) not in {0, 1, len(entries)}:
        msg = f"STILLHOUSE_API_KEY has {len(keys)} keys for {len(entries)} endpoints; give one for all, or one for each in order"
        raise EngineFailed(msg)
    most = environment.whole("STILLHOUSE_CONCURRENCY", CONCURRENCY)
    own: list[Endpoint] = []
    shared: list[Endpoint] = []
    for index, entry in enumerate(entries):
        parts = _ENTRY.fullmatch(entry)
        if parts is None:
            msg = f"STILLHOUSE_ENDPOINTS: {entry!r} is neither a URL such as http://host:8000/v1 nor model=URL"
            raise EngineFailed(msg)
        endpoint = Endpoint(parts["url"].rstrip("/"), keys[index % len(keys)] if keys else None, most)
        if parts["model"] in {None, model}:
            (own if parts["model"] else shared).append(endpoint)
    if not (own or shared):
        configured = ", ".join(entries) or "nothing"
        msg = (
            f"engine openai: no endpoint for model {model}: STILLHOUSE_ENDPOINTS names {configured}; set it to base URLs "
            "(http://host/v1)"
        )
        raise EngineFailed(msg)
    return own or shared


def _listed(variable: str) -> list[str]:
    """The comma-separated items of an environment variable."""
    return [item.strip() for item in environment.text(variable).split(",") if item.strip()]
