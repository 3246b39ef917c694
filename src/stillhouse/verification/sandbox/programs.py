"""The roles of a confined child: run Python, run a binary, compile; be tested, test; both in one process.

The last three are in ``tester`` and ``one_interpreter``. The source is on descriptor 3. What a child has to say to its server
goes to READY, which no untrusted code ever holds.
"""

import _sitebuiltins
import _thread
import atexit
import builtins
import functools
import gc
import io
import json
import os
import resource
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any, NoReturn

SOURCE, CHANNEL, READY = 3, 4, 6
"""Descriptors: the source, the other process of the run, and what reports to the server."""
ARTIFACT = "program"
MESSAGE_CHARS = 500
_SPECIAL_MODES = 0o7000
_UNFLUSHED = 120
"""An interpreter's exit code if standard output cannot be flushed at its end."""
_MOST_RECURSION = (1 << 31) - 1
LIVECODEBENCH_RECURSION = 50_000
PREAMBLE = """
from typing import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from bisect import *
import bisect, collections, copy, functools, heapq, itertools, json, math, operator, random, re, string, sys
"""
"""The imports that online judges put before a submitted function."""
LIVECODEBENCH_PREAMBLE = "".join(
    f"from {name} import *\n"
    for name in (
        "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
        "functools", "operator", "io", "sys", "json", "builtins", "typing",
    )
) + "import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools, functools, operator, io\nimport sys, json\n"  # fmt: skip # noqa: E501
"""The names that LiveCodeBench gives a program: those of these modules, in this order, and the modules."""


def complete_builtins() -> None:
    """Add to the built-ins what an interpreter's ``site`` adds."""
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    builtins.help = _sitebuiltins._Helper()


def run(role: Callable[[list[str]], int], arguments: list[str]) -> NoReturn:
    """Carry out a role and end this process."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["program.py"]
    try:
        code = role(arguments)
    except SystemExit as leaving:
        code = _exit_code(leaving.code)
    except BaseException as error:  # noqa: BLE001 - an interpreter reports any exception at its end
        _print_exception(error)
        code = 1
    os._exit(_finish(code))


def report(result: str, message: str = "", **facts: Any) -> int:
    """Tell the server how a role ended, and nothing afterwards. Returns the exit code."""
    os.write(READY, json.dumps({"result": result, "message": message[:MESSAGE_CHARS], **facts}).encode())
    os.close(READY)
    if message:
        print(message[:MESSAGE_CHARS], file=sys.stderr)
    return int(result != "passed")


def module(name: str) -> ModuleType:
    """A new module that counts as imported."""
    created = sys.modules[name] = ModuleType(name)
    vars(created).update(__builtins__=builtins, __file__="program.py")
    return created


def give_names(program: ModuleType, preamble: str) -> None:
    """Run a preamble's imports in a program's module, which keeps its own name."""
    name = program.__name__
    exec(preamble, vars(program))  # noqa: S102 - imports only
    program.__name__ = name


def read_source() -> bytes:
    """The source of this process; it is not readable again."""
    with open(SOURCE, "rb") as source:
        return source.read()


def compiled() -> Any:
    """The code of the source, or None after a report that it is not Python. READY is closed: the program may run."""
    try:
        code = compile(read_source(), "program.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        report("not_compiled", f"{type(error).__name__}: {error}")
        return None
    os.close(READY)
    return code


def behave_like_an_interpreter(depth: int) -> None:
    """Hide the harness: its ``depth`` frames do not count as recursion; stacks of threads fit; no other module of it is left."""
    set_limit, get_limit, set_stack = sys.setrecursionlimit, sys.getrecursionlimit, _thread.stack_size

    def setrecursionlimit(limit: int, /) -> None:
        set_limit(min(limit + depth, _MOST_RECURSION) if limit > 0 else limit)

    def getrecursionlimit() -> int:
        return get_limit() - depth

    def stack_size(size: int = 0, /) -> int:
        return set_stack(min(size, _largest_stack()))

    os.chmod, os.utime = _in_tmp(os.chmod), _in_tmp(os.utime)
    sys.setrecursionlimit, sys.getrecursionlimit, threading.stack_size = setrecursionlimit, getrecursionlimit, stack_size
    setrecursionlimit(get_limit())
    for name in [name for name in sys.modules if name.partition(".")[0] == "stillhouse"]:
        del sys.modules[name]


def _in_tmp(function: Callable[..., None]) -> Callable[..., None]:
    """A function that changes a file's mode or times; where the sandbox refuses that, it lets the program's own files be."""

    @functools.wraps(function)
    def forgiving(path: Any, *values: Any, **named: Any) -> None:
        try:
            function(path, *values, **named)
        except PermissionError:
            tmp, special = os.environ["TMPDIR"], values and isinstance(values[0], int) and values[0] & _SPECIAL_MODES
            if special or isinstance(path, int) or os.path.commonpath([os.path.realpath(path), tmp]) != tmp:
                raise

    return forgiving


def _largest_stack() -> int:
    """Judges count touched memory, not reserved: a thread that asks for a gigabyte of stack gets what deep recursion needs."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] // 4


def depth_here() -> int:
    """The number of frames of the caller's stack."""
    frame: FrameType | None = sys._getframe(1)
    depth = 0
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


def _python(arguments: list[str]) -> int:
    """Run the source as ``__main__``. ``arguments``: "livecodebench" gives it what LiveCodeBench gives."""
    code = compiled()
    if code is None:
        return 1
    main = module("__main__")
    if "livecodebench" in arguments:
        give_names(main, LIVECODEBENCH_PREAMBLE)
    behave_like_an_interpreter(depth_here())
    if "livecodebench" in arguments:
        sys.setrecursionlimit(LIVECODEBENCH_RECURSION)
    exec(code, vars(main))  # noqa: S102 - the purpose of this process
    return 0


def _binary(_: list[str]) -> int:
    os.close(READY)
    # The arenas of many threads would use up the address space.
    os.execve(SOURCE, ["program"], os.environ | {"MALLOC_ARENA_MAX": "2"})


def _compile(arguments: list[str]) -> int:
    """Compile standard input by the command in ``arguments``: the binary goes to standard output, messages to standard error."""
    os.close(READY)
    actions = [(os.POSIX_SPAWN_DUP2, 2, 1), (os.POSIX_SPAWN_CLOSE, SOURCE)]
    pid = os.posix_spawn(arguments[0], [*arguments, "-o", ARTIFACT], dict(os.environ), file_actions=actions)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        return 1
    binary = os.open(ARTIFACT, os.O_RDONLY)
    while os.sendfile(1, binary, None, 1 << 24):
        pass
    return 0


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
    if sys.excepthook is not sys.__excepthook__:
        with suppress(BaseException):
            sys.excepthook(type(error), error, trace)
        return
    traceback.print_exception(type(error), error, trace, limit=-8)


def _finish(code: int) -> int:
    """End as an interpreter does: wait for threads, run exit handlers, flush, free ``__main__``. Returns the exit code."""
    first = sys.__stdout__
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException as error:  # noqa: BLE001 - also an exit handler's SystemExit
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    flushed = _flushed(sys.stdout)
    with suppress(BaseException):
        _free(vars(sys.modules["__main__"]))
    _flushed(first)
    return code & 0xFF if flushed else code & 0xFF or _UNFLUSHED


def _flushed(stream: Any) -> bool:
    """Whether a stream of the program's, if it is open, could be flushed."""
    try:
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
    except BaseException as error:  # noqa: BLE001 - the stream may be an object of the program's
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return False
    return True


def _free(names: dict[str, Any]) -> None:
    """Clear a module's names, private ones first, so that files are flushed and finalizers run."""
    for private in (True, False):
        for name in [name for name in names if name.startswith("_") is private and name != "__builtins__"]:
            names[name] = None
    gc.collect()


ROLES: dict[str, Callable[[list[str]], int]] = {"python": _python, "binary": _binary, "compiler": _compile}
"""By name; the modules ``tester`` and ``joined`` add theirs."""
EXECUTING = ("binary", "compiler")
"""Roles that may start other programs."""
