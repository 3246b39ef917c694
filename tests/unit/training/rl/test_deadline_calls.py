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


@pytest.mark.parametrize(
    ("raised", "told"), [(SystemExit(3), "it raised SystemExit 3"), (KeyboardInterrupt(), "it raised KeyboardInterrupt")]
)
def test_calls_in_time_function_that_would_end_the_program_fails_its_call_alone(raised, told):
    def function(text):
        if text == "ends":
            raise raised
        return text

    call = CallsInTime(function, 60)
    with pytest.raises(RuntimeError, match=f"^{told}$"):
        call("ends")
    assert call("after") == "after"
