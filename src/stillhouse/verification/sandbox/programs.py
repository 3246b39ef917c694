"""The roles of a confined child: run Python, run a binary, compile, be tested, test.

The source is on descriptor 3. A tested program and its tester talk over descriptor 4: the tester holds the assertions, and the
program sees nothing but the arguments of calls.
"""

import atexit
import builtins
import io
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from stillhouse.verification.sandbox.remote import Peer, ProgramEnded

SOURCE, CHANNEL = 3, 4
PASSED, FAILED, RAISED, ENDED, NOT_LOADED = 0, 1, 2, 3, 4
"""Exit codes of a tester: all assertions held; one failed; an exception was raised; the program ended; it could not be loaded."""
NOT_COMPILED = 65
"""Exit code of a program that is not valid Python."""
ARTIFACT = "program"
_MESSAGE_CHARS = 500
_TEST_IMPORTS = """
from typing import *
from collections import *
import bisect, collections, copy, functools, heapq, itertools, json, math, operator, random, re, string, sys
"""
"""Names that a test may use without importing them; it never takes them from the program."""
_PROGRAM_IMPORTS = f"""{_TEST_IMPORTS}
from functools import *
from heapq import *
from itertools import *
from bisect import *
"""
"""The imports that online judges put before a submitted function."""


def run(role: str, arguments: list[str]) -> NoReturn:
    """Carry out the role and end this process."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["program.py"]
    try:
        code = ROLES[role](arguments)
    except SystemExit as leaving:
        code = _exit_code(leaving.code)
    except BaseException as error:  # noqa: BLE001 - an interpreter reports any exception at its end
        _print_exception(error)
        code = 1
    os._exit(_finish(code))


def _python(_: list[str]) -> int:
    try:
        code = compile(_read_source(), "program.py", "exec")
    except (SyntaxError, ValueError) as error:
        return _say(NOT_COMPILED, f"{type(error).__name__}: {error}")
    exec(code, vars(_module("__main__")))  # noqa: S102 - the purpose of this process
    return 0


def _binary(_: list[str]) -> int:
    os.execve(SOURCE, ["program"], dict(os.environ))


def _compile(arguments: list[str]) -> int:
    """Compile standard input by the command in ``arguments``: the binary goes to standard output, messages to standard error."""
    actions = [(os.POSIX_SPAWN_DUP2, 2, 1), (os.POSIX_SPAWN_CLOSE, SOURCE)]
    pid = os.posix_spawn(arguments[0], [*arguments, "-o", ARTIFACT], dict(os.environ), file_actions=actions)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        return 1
    binary = os.open(ARTIFACT, os.O_RDONLY)
    while os.sendfile(1, binary, None, 1 << 24):
        pass
    return 0


def _tested(_: list[str]) -> int:
    """Load the program, then answer its tester."""
    module = _module("program")
    peer = Peer(_channel(), {"name": vars(module).__getitem__, "attribute": getattr, "special": _special, "items": list})
    _execute(_PROGRAM_IMPORTS, module)
    try:
        _execute(_read_source(), module)
    except BaseException as error:  # noqa: BLE001 - the tester is told any exception
        peer.send("not loaded", f"{type(error).__name__}: {error}"[:_MESSAGE_CHARS])
        return 1
    peer.send("loaded", "")
    while True:
        try:
            peer.answer(*peer.receive())
        except ProgramEnded:
            return 0


def _tester(arguments: list[str]) -> int:
    """Run the test, which takes unknown names from the program. ``arguments``: built-ins that the program redefines."""
    peer = Peer(_channel())
    try:
        state, message = peer.receive()
        if state != "loaded":
            return _say(NOT_LOADED, str(message))
        names = _Names(peer, frozenset(arguments))
        exec(_TEST_IMPORTS, names)  # noqa: S102 - imports only
        exec(compile(_read_source(), "test", "exec"), names)  # noqa: S102 - the test of the data set, in the sandbox
    except ProgramEnded:
        return _say(ENDED, "the program ended")
    except AssertionError as error:
        return _say(FAILED, f"AssertionError: {error}")
    except Exception as error:  # noqa: BLE001 - from a call of the program, or from the test itself
        return _say(RAISED, f"{type(error).__name__}: {error}")
    return PASSED


class _Names(dict[str, Any]):
    """The test's global names: its own, the usual imports, built-ins, and finally the program's."""

    def __init__(self, peer: Peer, replaced: frozenset[str]) -> None:
        """``replaced``: built-ins to take from the program."""
        super().__init__({"__name__": "test", "__builtins__": builtins})
        self._peer, self._replaced = peer, replaced

    def __missing__(self, name: str) -> Any:
        if name not in self._replaced and hasattr(builtins, name):
            return getattr(builtins, name)
        try:
            return self._peer.ask("name", name)
        except KeyError:
            msg = f"name {name!r} is not defined"
            raise NameError(msg) from None


def _special(value: Any, name: str, *arguments: Any) -> Any:
    return getattr(type(value), name)(value, *arguments)


def _channel() -> Any:
    raw = io.FileIO(CHANNEL, "r+", closefd=True)
    return io.BufferedRWPair(raw, raw)


def _module(name: str) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    vars(module)["__builtins__"] = builtins
    return module


def _read_source() -> bytes:
    with open(SOURCE, "rb") as source:
        return source.read()


def _execute(source: bytes | str, module: ModuleType) -> None:
    exec(compile(source, "program.py", "exec"), vars(module))  # noqa: S102 - the purpose of this process


def _say(code: int, message: str) -> int:
    print(message[:_MESSAGE_CHARS], file=sys.stderr)
    return code


def _exit_code(code: Any) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def _print_exception(error: BaseException) -> None:
    """Print the traceback from the program's first frame on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != "program.py" and trace.tb_next is not None:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace, limit=-8)


def _finish(code: int) -> int:
    """End as an interpreter does: wait for threads, run exit handlers, flush. Returns the exit code."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - also an exit handler's SystemExit
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return code or 120
    return code & 0xFF


ROLES: dict[str, Callable[[list[str]], int]] = {
    "python": _python, "binary": _binary, "compiler": _compile, "tested": _tested, "tester": _tester,
}  # fmt: skip
EXECUTING = ("binary", "compiler")
"""Roles that may start other programs."""
