"""The roles of a program and its test in one interpreter, and of the keeper in another, which believes only a number it gave away.

One interpreter is what the test was written for: it may subclass, patch, iterate and set whatever it likes. So may the program,
against the test; what it would need for that is taken from it (``guards``). The keeper sends the test and a random number once the
program has been loaded, and takes that number, sent back after the test's last line, for success. No name, frame or object that the
program can reach holds it: a program that ends the process, or writes to the channel, does not know it.
"""

import builtins
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from stillhouse.verification.sandbox import programs
from stillhouse.verification.sandbox.guards import Guards, Tampered
from stillhouse.verification.sandbox.remote import Peer, ProgramEnded
from stillhouse.verification.sandbox.tester import TEST_IMPORTS, channel, run_collected

_PYTEST = ("-q", "-x", "--noconftest", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-c", "pytest.ini")


def _joined(arguments: list[str]) -> int:
    """Load the program, then run the test that the keeper sends. ``arguments``: the options of ``runner.TestOptions`` as JSON."""
    options = json.loads(arguments[0])
    code = programs.compiled()
    if code is None:
        return 1
    peer = Peer(channel())
    for name in options["imports"]:
        _import_if_installed(name)
    guards = Guards(options["imports"])
    program = programs.module("program")
    for name in options["modules"]:
        sys.modules[name] = program
    programs.give_names(program, programs.PREAMBLE)
    programs.behave_like_an_interpreter(programs.depth_here() + 2)
    guards.close()
    try:
        exec(code, vars(program))  # noqa: S102 - the purpose of this process
    except BaseException as error:  # noqa: BLE001 - the keeper is told any exception
        peer.send("not_loaded", f"{type(error).__name__}: {error}"[: programs.MESSAGE_CHARS])
        return 1
    try:
        guards.quiet()
        guards.check("")
    except Tampered as error:
        peer.send("raised", f"Tampered: {error}")
        return 1
    peer.send("loaded", "")
    # Only the iterator holds the steps, and no program can look into it: a local name would be seen from a signal's frame.
    for step in _steps(peer, program, guards, options):
        step()
    return 0


def _steps(peer: Peer, program: ModuleType, guards: Guards, options: dict[str, Any]) -> Any:
    """An iterator over what runs the test, what checks the interpreter afterwards, and what sends the number back."""
    source, number = peer.receive()[1:]
    send, check = peer.send, guards.check

    def test() -> None:
        try:
            _run_test(source, program, guards, options)
            check(source)
            sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001 - from a call of the program, or from the test itself
            kind = "failed" if isinstance(error, AssertionError) else "raised"
            send(kind, f"{type(error).__name__}: {error}"[: programs.MESSAGE_CHARS])
            os._exit(1)

    return iter((test, lambda: send("passed", number)))


def _run_test(source: str, program: ModuleType, guards: Guards, options: dict[str, Any]) -> None:
    """The test among the program's names, except built-ins and names that a test has from its own side."""
    if options["pytest"]:
        _run_pytest(source, program, options)
        return
    kept = {name for name in vars(program) if not name.startswith("__")} - set(options["refused"])
    kept -= {name for name in kept if hasattr(builtins, name)} - set(options["own"])
    names = {name: guards.guarded(vars(program)[name]) for name in kept}
    names |= {"__name__": "test", "__builtins__": builtins}
    exec(TEST_IMPORTS, names)  # noqa: S102 - imports only
    exec(compile(source, "test", "exec"), names)  # noqa: S102 - the test of the data set, in the sandbox
    if options["collect"]:
        run_collected(names)


def _run_pytest(source: str, program: ModuleType, options: dict[str, Any]) -> None:
    """The test as a file of pytest's, which takes unknown names from the program too. Raises AssertionError if it fails."""
    import pytest  # in the sandbox's libraries, for tests that need it

    unknown = sorted(set(options["unknown"]) & set(vars(program)) - set(options["refused"]))
    given = f"from program import {', '.join(unknown)}\n" if unknown else ""
    directory = tempfile.mkdtemp()
    Path(directory, "test_program.py").write_text(given + source, encoding="utf-8")
    Path(directory, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    os.chdir(directory)
    kept_output = os.dup(1)
    os.dup2(2, 1)
    reports = _Reports()
    code = pytest.main([*_PYTEST, "test_program.py"], plugins=[reports])
    sys.stdout.flush()
    os.dup2(kept_output, 1)
    if code or not reports.passed or reports.skipped:
        counts = f"{reports.passed} passed, {reports.skipped} skipped"
        msg = f"pytest ended with {pytest.ExitCode(code).name}: {counts}; {reports.complaint}"
        raise AssertionError(msg)


class _Reports:
    """Counts what pytest reports. A skipped test shows nothing, whoever skipped it."""

    def __init__(self) -> None:
        self.passed, self.skipped, self.complaint = 0, 0, ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest after each phase of a test."""
        self.passed += report.passed and report.when == "call"
        self.skipped += report.skipped and not hasattr(report, "wasxfail")
        if report.failed:
            self.complaint = self.complaint or str(report.longrepr).strip().rpartition("\n")[2]


def _import_if_installed(name: str) -> None:
    try:
        __import__(name)
    except ImportError:
        return  # the test says so in its own words


def _keeper(_: list[str]) -> int:
    """Send the test to the program that has been loaded, and report how it ended."""
    peer, number = Peer(channel()), secrets.token_hex(32)
    try:
        state, message = peer.receive()
        if state == "loaded":
            peer.send("test", programs.read_source().decode(errors="replace"), number)
            state, message = peer.receive()
    except (ProgramEnded, OSError, ValueError):
        return programs.report("ended", "the program ended")
    if state == "passed":
        passed = isinstance(message, str) and secrets.compare_digest(message, number)
        return programs.report("passed") if passed else programs.report("ended", "the program sent what only the test may send")
    known = state if state in ("failed", "raised", "not_loaded") else "ended"
    return programs.report(known, str(message))


ROLES: dict[str, Callable[[list[str]], int]] = {"joined": _joined, "keeper": _keeper}
