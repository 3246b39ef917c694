import urllib.error
from datetime import timedelta

import pytest
from airflow.sdk import RetryDecision
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowException
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

from operators import retries
from operators.retries import Outage, RetryByKind
from stillhouse.errors import BadConfig, StoreFailed


def decide(exception, tries=1, waits=(15.0, 30.0, 60.0), cleared_at=0) -> RetryDecision:
    """What is decided after so many tries; ``cleared_at``: those before the task was cleared."""
    return RetryByKind(waits).evaluate(exception, tries + cleared_at, len(waits) + cleared_at)


@pytest.mark.parametrize(
    "exception",
    [
        Outage("s3://house: connection refused"), StoreFailed("s3://house: connection refused"), ConnectionResetError(),
        TimeoutError(), ApiException(status=503), ApiException(status=429), MaxRetryError(None, "/"),
        urllib.error.HTTPError("http://mlflow", 502, "bad gateway", {}, None),
    ],
)  # fmt: skip
def test_outage_is_tried_again_for_all_its_time(exception):
    assert [decide(exception, tries).action for tries in (1, 2, 3, 4)] == [RetryAction.RETRY] * 3 + [RetryAction.FAIL]


@pytest.mark.parametrize(
    "exception",
    [AirflowException("the stage crashed"), KeyError("x"), FileNotFoundError("/x"), ApiException(status=403),
     urllib.error.HTTPError("http://mlflow", 404, "not found", {}, None)],
)  # fmt: skip
def test_crash_is_tried_once_more(exception):
    assert [decide(exception, tries).action for tries in (1, 2)] == [RetryAction.RETRY, RetryAction.FAIL]


def test_refusal_is_never_tried_again():
    assert decide(BadConfig("STILLHOUSE_STORE is not set")).action == RetryAction.FAIL


def test_task_that_was_cleared_has_all_its_tries_again():
    assert decide(Outage("away"), tries=3, cleared_at=4).action == RetryAction.RETRY
    assert decide(KeyError("x"), tries=1, cleared_at=4).action == RetryAction.RETRY
    assert decide(KeyError("x"), tries=2, cleared_at=4).action == RetryAction.FAIL


def test_wait_doubles_and_varies_by_a_quarter():
    waited = [[decide(Outage("away"), tries).retry_delay.total_seconds() for _ in range(50)] for tries in (1, 2, 3)]
    for planned, times in zip((15, 30, 60), waited, strict=True):
        assert 0.75 * planned <= min(times) < max(times) <= 1.25 * planned
        assert len(set(times)) > 1


@pytest.mark.parametrize(("total_s", "count"), [(1, 1), (15, 1), (600, 6), (4 * 3600, 29), (3 * 24 * 3600, 437)])
def test_waits_take_the_whole_time_and_none_is_longer_than_ten_minutes(total_s, count):
    planned = retries.waits(total_s)
    assert (len(planned), sum(planned), max(planned) <= 600) == (count, total_s, True)


def test_time_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_RETRY_FOR_S", "14400")
    hours = retries.default_args()
    monkeypatch.delenv("STILLHOUSE_RETRY_FOR_S")
    assert (hours["retries"], retries.default_args()["retries"]) == (29, 6)
    assert sum(hours["retry_policy"].waits) == 14400


def test_worker_that_is_lost_with_its_task_is_waited_for_by_the_schedulers_own_backoff():
    args = retries.default_args()
    assert (args["retry_exponential_backoff"], args["max_retry_delay"]) == (2.0, timedelta(minutes=10))
    assert callable(args["on_failure_callback"])
