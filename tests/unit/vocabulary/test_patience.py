import pytest

from stillhouse.vocabulary.patience import LONGEST_PAUSE_S, backoff_s, retried


class Away(Exception):
    pass


class Refused(Exception):
    pass


class Caller:
    """Fails with these errors, then answers; time passes only by waiting."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.now, self.calls = list(errors), 0.0, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, until_s: float) -> str:
        refused = lambda error: isinstance(error, Refused)  # noqa: E731
        return retried(self, until_s=until_s, is_refusal=refused, sleep=self.sleep, clock=lambda: self.now)


def test_retried_outage_that_ends_gives_the_answer():
    caller = Caller(Away(), Away(), Away())
    assert caller.ask(until_s=60) == "answer"
    assert caller.calls == 4
    assert caller.now >= 0.5 * (1 + 2 + 4)


def test_retried_refusal_is_raised_at_once():
    caller = Caller(Refused("wrong key"))
    with pytest.raises(Refused, match="wrong key"):
        caller.ask(until_s=3600)
    assert (caller.calls, caller.now) == (1, 0.0)


def test_retried_deadline_passed_raises_the_last_error():
    caller = Caller(*(Away(f"try {number}") for number in range(100)))
    with pytest.raises(Away) as caught:
        caller.ask(until_s=30)
    assert str(caught.value) == f"try {caller.calls - 1}"
    assert 10 < caller.now <= 30


def test_retried_deadline_in_the_past_tries_once():
    caller = Caller(Away())
    with pytest.raises(Away):
        caller.ask(until_s=-1)
    assert caller.calls == 1


def test_backoff_doubles_to_a_bound_and_spreads_by_jitter():
    assert [backoff_s(failures, 0.5) for failures in (1, 2, 3, 20)] == [1, 2, 4, LONGEST_PAUSE_S]
    assert (backoff_s(3, 0.0), backoff_s(3, 0.999)) == (2, pytest.approx(6, abs=0.01))
