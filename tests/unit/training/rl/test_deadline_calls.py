import threading

import pytest

from stillhouse.training.rl.deadline_calls import CallsInTime


def test_calls_in_time_return_what_the_function_returns_and_raise_what_it_raises():
    call = CallsInTime({"a": 1}.__getitem__, 5)
    assert call("a") == 1
    with pytest.raises(KeyError, match="b"):
        call("b")
    assert call("a") == 1


def test_calls_in_time_call_that_hangs_is_left_behind_and_the_next_is_made():
    never = threading.Event()
    call = CallsInTime(lambda text: never.wait() if text == "hangs" else text, 0.2)
    with pytest.raises(TimeoutError, match=r"no answer after 0.2 s"):
        call("hangs")
    assert call("after") == "after"
    never.set()
