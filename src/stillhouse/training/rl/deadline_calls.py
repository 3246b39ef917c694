"""Calls of the user's code that may take only so long."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, NoReturn, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class CallsInTime(Generic[A, R]):
    """Calls a function in a thread that is left behind, to end when it will, if a call does not return in time."""

    def __init__(self, function: Callable[[A], R], timeout_s: float) -> None:
        """``timeout_s``: seconds one call may take."""
        self._function, self._timeout_s = function, timeout_s
        self._calls = self._started()

    def __call__(self, argument: A) -> R:
        """What the function returns. Raises what it raises, and TimeoutError."""
        replies: SimpleQueue[Callable[[], R]] = SimpleQueue()
        self._calls.put((argument, replies))
        try:
            outcome = replies.get(timeout=self._timeout_s)
        except Empty:
            self._calls.put(None)
            self._calls = self._started()
            msg = f"no answer after {self._timeout_s:g} s"
            raise TimeoutError(msg) from None
        return outcome()

    def _started(self) -> "SimpleQueue[tuple[A, SimpleQueue[Callable[[], R]]] | None]":
        """A new thread's calls; None ends it."""
        calls: SimpleQueue[tuple[A, SimpleQueue[Callable[[], R]]] | None] = SimpleQueue()
        threading.Thread(target=self._serve, args=(calls,), daemon=True).start()
        return calls

    def _serve(self, calls: "SimpleQueue[tuple[A, SimpleQueue[Callable[[], R]]] | None]") -> None:
        while (call := calls.get()) is not None:
            argument, replies = call
            replies.put(self._outcome(argument))

    def _outcome(self, argument: A) -> Callable[[], R]:
        try:
            value = self._function(argument)
        except Exception as error:  # noqa: BLE001 # raised again in the caller's thread
            return _raising(error)
        except BaseException as error:  # noqa: BLE001 # the user's sys.exit() must end neither this thread nor the run
            return _raising(RuntimeError(f"it raised {type(error).__name__} {error}".rstrip()))
        return lambda: value


def _raising(error: Exception) -> Callable[[], NoReturn]:
    def reraise() -> NoReturn:
        raise error

    return reraise
