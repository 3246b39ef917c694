"""How often Airflow tries a failed task again, by the kind of its failure.

- A refusal fails the task at once: the same input would be refused again. Operators raise ``AirflowFailException``.
- An outage is tried again, after waits that double, for as long as ``STILLHOUSE_RETRY_FOR_S`` says: a store, a tracking server or
  an API that does not answer, a process or a pod that was lost, evicted or preempted. Operators raise ``Outage``.
- Any other failure, such as a crash, is tried once more.
"""

import os
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException

from operators import alerts
from stillhouse.errors import TRY_AGAIN, StillhouseError

RETRY_FOR_S = 600.0
"""Seconds to wait out an outage in all, unless ``STILLHOUSE_RETRY_FOR_S`` says otherwise."""
FIRST_WAIT_S, LONGEST_WAIT_S = 15.0, 600.0
JITTER = 0.25
"""Jitter as a share of each wait, so that many tasks do not come back at once."""
TRIES_OF_A_CRASH = 2
PASSING = (ConnectionError, TimeoutError)
PASSING_NAMES = frozenset({
    "airflow.providers.cncf.kubernetes.exceptions.KubernetesApiError",
    "airflow.providers.cncf.kubernetes.operators.pod.PodCredentialsExpiredFailure",
    "airflow.providers.cncf.kubernetes.utils.pod_manager.PodNotFoundException",
    "aiohttp.client_exceptions.ClientError",
    "urllib3.exceptions.HTTPError",
})  # fmt: skip
"""Errors of the Kubernetes provider and of its HTTP clients, by name: DAG files import none of them."""
TOO_MANY_REQUESTS, SERVER_ERRORS = 429, range(500, 600)


class Outage(AirflowException):
    """A failure that may pass."""


class RetryByKind(RetryPolicy):
    """Decides after each failed try whether and when there is another. ``waits`` are the seconds before each retry."""

    def __init__(self, waits: Sequence[float]) -> None:
        self.waits = tuple(waits)

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:  # fmt: skip
        """Tries count anew once a task was cleared: Airflow then raises ``max_tries``."""
        tries = max(1, try_number - max(0, max_tries - len(self.waits)))
        if isinstance(exception, StillhouseError) and exception.exit_code != TRY_AGAIN:
            return RetryDecision.fail("a refusal: the same input would be refused again")
        if tries > len(self.waits) or (tries >= TRIES_OF_A_CRASH and not passes(exception)):
            return RetryDecision.fail(f"failed {tries} times")
        wait_s = self.waits[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)
        return RetryDecision.retry(timedelta(seconds=wait_s), f"try {tries + 1} in {wait_s:.0f} s")


def passes(exception: BaseException) -> bool:
    """Whether the failure is an outage."""
    status = getattr(exception, "status", None)
    return (
        isinstance(exception, (Outage, *PASSING))
        or (isinstance(exception, StillhouseError) and exception.exit_code == TRY_AGAIN)
        or status == TOO_MANY_REQUESTS
        or status in SERVER_ERRORS
        or any(f"{kind.__module__}.{kind.__name__}" in PASSING_NAMES for kind in type(exception).__mro__)
    )


def waits(total_s: float) -> list[float]:
    """Doubling waits, each at most ``LONGEST_WAIT_S``, that take ``total_s`` in all."""
    planned: list[float] = []
    while (left_s := total_s - sum(planned)) > 0:
        planned.append(min(FIRST_WAIT_S * 2 ** min(len(planned), 10), LONGEST_WAIT_S, left_s))
    return planned


def default_args() -> dict[str, Any]:
    """The ``default_args`` of every DAG."""
    planned = waits(float(os.environ.get("STILLHOUSE_RETRY_FOR_S") or RETRY_FOR_S))
    return {
        "retries": len(planned),
        "retry_policy": RetryByKind(planned),
        # The scheduler ignores the policy: it uses these if a worker is lost with its task.
        "retry_delay": timedelta(seconds=FIRST_WAIT_S),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(seconds=LONGEST_WAIT_S),
        "on_failure_callback": alerts.failed,
    }
