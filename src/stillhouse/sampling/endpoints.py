"""Where served models are, and how much of it each endpoint takes just now.

All of it comes from the environment: ``STILLHOUSE_ENDPOINTS`` (comma-separated base URLs such as ``http://host:8000/v1``; an entry
``model=url`` serves that model alone), ``STILLHOUSE_API_KEY`` (one for all, or comma-separated in the order of the endpoints) and
``STILLHOUSE_CONCURRENCY`` (requests in flight at one endpoint, at most).
"""

import math
import os
import re
from collections import Counter
from dataclasses import dataclass, field

from stillhouse.errors import EngineFailed
from stillhouse.execution import environment
from stillhouse.sampling.replies import BUSY, Failure
from stillhouse.vocabulary.patience import backoff_s

CONCURRENCY = 64
START = 8
"""Requests in flight to begin with: a rate limit is found from below."""
LEAST_TRIES = 3
"""Failures in a row that say something of the endpoint: fewer prove nothing."""

_ENTRY = re.compile(r"(?:(?P<model>[^=]+)=)?(?P<url>https?://[^=].*)")


@dataclass(eq=False)
class Endpoint:
    """One base URL. Times are seconds on the caller's clock.

    The number of requests in flight rises by one with every round of answers and halves with a refusal (additive increase,
    multiplicative decrease); a refusal of a request that was sent before the last halving does not halve again.
    """

    url: str
    key: str | None = None
    most: int = CONCURRENCY
    limit: float = START
    in_flight: int = 0
    paused_until: float = -math.inf
    halved_at: float = -math.inf
    failures: int = 0
    """In a row."""
    silent_since: float | None = None
    """When the first of those failures came."""
    tried: Counter[str] = field(default_factory=Counter)
    last: str = ""

    def __post_init__(self) -> None:
        self.limit = min(self.limit, self.most)

    def free(self, now: float) -> bool:
        """Whether a request may be sent now."""
        return self.in_flight < int(self.limit) and now >= self.paused_until

    def answered(self) -> None:
        """A request was answered, if only by saying what is wrong with it."""
        self.failures, self.silent_since = 0, None
        self.limit = min(self.most, self.limit + 1 / self.limit)

    def failed(self, failure: Failure, sent: float, now: float, spread: float) -> None:
        """A request sent at ``sent`` failed; ``spread`` in [0, 1) is the jitter of the pause that it brings.

        A failure that may be the request's own brings one only after several in a row, and a short one.
        """
        self.failures += 1
        self.silent_since = now if self.silent_since is None else self.silent_since
        self.tried[failure.kind] += 1
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
        """Whether it has failed for so long, with nothing in flight that could still be answered, that waiting makes no sense."""
        silent = self.silent_since is not None and now - self.silent_since >= outage_s
        return silent and self.failures >= LEAST_TRIES and not self.in_flight

    def history(self) -> str:
        """What was tried, in a phrase."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.tried.most_common())
        return f"{self.url}: {kinds}; last: {self.last}"


def endpoints(model: str) -> list[Endpoint]:
    """The endpoints that may serve the model: those named for it, else those named for none. Raises EngineFailed."""
    entries = [each.strip() for each in os.environ.get("STILLHOUSE_ENDPOINTS", "").split(",") if each.strip()]
    keys = [each.strip() for each in os.environ.get("STILLHOUSE_API_KEY", "").split(",") if each.strip()]
    if len(keys) not in {0, 1, len(entries)}:
        msg = f"STILLHOUSE_API_KEY has {len(keys)} keys for {len(entries)} endpoints; give one for all, or one for each in order"
        raise EngineFailed(msg)
    most = environment.whole("STILLHOUSE_CONCURRENCY", CONCURRENCY)
    own: list[Endpoint] = []
    shared: list[Endpoint] = []
    for place, entry in enumerate(entries):
        parts = _ENTRY.fullmatch(entry)
        if parts is None:
            msg = f"STILLHOUSE_ENDPOINTS: {entry!r} is neither a URL such as http://host:8000/v1 nor model=URL"
            raise EngineFailed(msg)
        made = Endpoint(parts["url"].rstrip("/"), keys[place % len(keys)] if keys else None, most)
        if parts["model"] in {None, model}:
            (own if parts["model"] else shared).append(made)
    if not (own or shared):
        named = os.environ.get("STILLHOUSE_ENDPOINTS") or "nothing"
        msg = f"engine openai: no endpoint for model {model}: STILLHOUSE_ENDPOINTS names {named}; set it to base URLs (http://host/v1)"
        raise EngineFailed(msg)
    return own or shared
