"""The roles of a program under test and of its tester, which holds the assertions in a process of its own.

They talk over a channel (``remote``): the program sees nothing but the arguments of calls, and its objects never decide what the
test finds. What plain Python would do otherwise with objects is left to ``one_interpreter``; the tester's report says where that
matters.
"""

import builtins
import io
import json
import sys
import unittest
from collections.abc import Callable
from types import ModuleType
from typing import Any

from stillhouse.verification.sandbox import programs
from stillhouse.verification.sandbox.remote import Peer, ProgramEnded

TEST_IMPORTS = """
from typing import *
from collections import *
import bisect, collections, copy, functools, heapq, itertools, json, math, operator, random, re, string, sys
"""
"""Names that a test may use without importing them; it never takes them from the program."""


def channel() -> Any:
    """The stream to the other process of this run."""
    raw = io.FileIO(programs.CHANNEL, "r+", closefd=True)
    return io.BufferedRWPair(raw, raw)


def _tested(arguments: list[str]) -> int:
    """Load the program, then answer its tester. ``arguments``: the tester's."""
    livecodebench = json.loads(arguments[0])["livecodebench"]
    code = programs.compiled()
    if code is None:
        return 1
    program = programs.module("program")
    peer = Peer(channel(), {"name": vars(program).__getitem__, "attribute": getattr, "special": _special, "items": list})
    programs.give_names(program, programs.LIVECODEBENCH_PREAMBLE if livecodebench else programs.PREAMBLE)
    programs.behave_like_an_interpreter(programs.depth_here() + 2)
    if livecodebench:
        sys.setrecursionlimit(programs.LIVECODEBENCH_RECURSION)
    try:
        exec(code, vars(program))  # noqa: S102 - the purpose of this process
    except BaseException as error:  # noqa: BLE001 - the tester is told any exception
        peer.send("not loaded", f"{type(error).__name__}: {error}"[: programs.MESSAGE_CHARS])
        return 1
    peer.send("loaded", "")
    while True:
        try:
            peer.answer(*peer.receive())
        except ProgramEnded:
            return 0


def _special(value: Any, name: str, *arguments: Any) -> Any:
    return getattr(type(value), name)(value, *arguments)


def _tester(arguments: list[str]) -> int:
    """Run the test, which takes unknown names from the program. ``arguments``: the options of ``runner.TestOptions`` as JSON."""
    options = json.loads(arguments[0])
    peer = Peer(channel())
    result, message = _tested_result(peer, options)
    if peer.ended:
        result, message = "ended", "the program ended"
    return programs.report(result, message, exact=peer.is_exact, asked=peer.asked)


def _tested_result(peer: Peer, options: dict[str, Any]) -> tuple[str, str]:
    """How the test ended, and what it said."""
    try:
        state, message = peer.receive()
        if state != "loaded":
            return "not_loaded", str(message)
        for name in options["modules"]:
            sys.modules[name] = RemoteModule(peer, name)
        names = _Names(peer, options)
        exec(TEST_IMPORTS, names)  # noqa: S102 - imports only
        exec(compile(programs.read_source(), "test", "exec"), names)  # noqa: S102 - the test of the data set, in the sandbox
        if options["collect"]:
            run_collected(names)
        sys.stdout.flush()
    except ProgramEnded:
        return "ended", "the program ended"
    except AssertionError as error:
        return "failed", f"AssertionError: {error}"
    except BaseException as error:  # noqa: BLE001 - from a call of the program, or from the test itself
        peer.exact = peer.exact and error is peer.raised
        return "raised", f"{type(error).__name__}: {error}"
    return "passed", ""


def run_collected(names: dict[str, Any]) -> None:
    """Call test functions and classes of a test file as pytest would. Raises what the first failing one raises."""
    for name, value in list(names.items()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            outcome = unittest.TestResult()
            outcome.failfast = True
            unittest.defaultTestLoader.loadTestsFromTestCase(value).run(outcome)
            if outcome.skipped or not outcome.wasSuccessful():
                failures = [text for _, text in (*outcome.errors, *outcome.failures, *outcome.skipped)] or ["unexpected success"]
                kind = RuntimeError if outcome.errors else AssertionError
                raise kind(failures[0].strip().splitlines()[-1])
        elif name.startswith("Test") and isinstance(value, type):
            for method in [method for method in dir(value) if method.startswith("test")]:
                _with_setup(value(), method)
        elif name.startswith("test") and callable(value):
            value()


def _with_setup(instance: Any, method: str) -> None:
    """A test method between the set-up and the tear-down of its class."""
    getattr(instance, "setup_method", _nothing)()
    try:
        getattr(instance, method)()
    finally:
        getattr(instance, "teardown_method", _nothing)()


def _nothing() -> None:
    pass


class RemoteModule(ModuleType):
    """A module that a test imports and that stands for the program: ``from solution import f``."""

    def __init__(self, peer: Peer, name: str) -> None:
        """``name``: as the test spells it."""
        super().__init__(name)
        self.__all__: list[str] = []  # a star imports nothing: unknown names are the program's anyway
        self.__path__: list[str] = []
        self._peer = peer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._peer.ask("name", name)
        except KeyError:
            msg = f"the program defines no {name}"
            raise AttributeError(msg) from None


class _Names(dict[str, Any]):
    """The test's global names: its own, the usual imports, built-ins, and finally the program's."""

    def __init__(self, peer: Peer, options: dict[str, Any]) -> None:
        """``options``: ``own`` are built-ins to take from the program, ``refused`` are names never to take from it."""
        super().__init__({"__name__": "test", "__builtins__": builtins})
        self._peer, self._own, self._refused = peer, frozenset(options["own"]), frozenset(options["refused"])

    def __missing__(self, name: str) -> Any:
        if name not in self._own and hasattr(builtins, name):
            return getattr(builtins, name)
        msg = f"name {name!r} is not defined"
        if name in self._refused:
            raise NameError(msg)
        try:
            return self._peer.ask("name", name)
        except KeyError:
            raise NameError(msg) from None


ROLES: dict[str, Callable[[list[str]], int]] = {"tested": _tested, "tester": _tester}
