r"""The sandbox as its callers see it: source and input in, ending and output out.

    with Sandbox() as sandbox:
        sandbox.python(b"print(input())", b"4").stdout  # b"4\n"

Isolation is the strongest the kernel allows, determined once per process: namespaces, else Landlock alone (``portable``), both
with seccomp, rlimits and, under root, a uid for each run. Without either the sandbox refuses to run; ``STILLHOUSE_ISOLATION=weak``
runs programs under rlimits and whatever else is available, ``portable`` never uses namespaces.

What remains possible: a program sees its own arguments and inputs, the system's libraries, compilers and headers, and timing; a
test that compares two objects of the program's own classes asks the program; bugs of the kernel in the calls that ``syscalls.py``
lists are not contained. Without namespaces a program can also ask whether a path exists, and its tmp is measured only twenty times
a second.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.verification.sandbox import compilers, libraries
from stillhouse.verification.sandbox.compilers import Binary, CompiledPrograms
from stillhouse.verification.sandbox.limits import MIB, Limits
from stillhouse.verification.sandbox.run_outcome import Outcome, read_outcome
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.packages import Libraries

NAMESPACES, PORTABLE, WEAK = "namespaces", "portable", "weak"
_ATTEMPTS = {"": (NAMESPACES, PORTABLE), PORTABLE: (PORTABLE,), WEAK: (WEAK,)}
"""Isolations to try in order, by STILLHOUSE_ISOLATION."""
COMPILING = Limits(
    cpu_s=30, wall_s=60, memory_bytes=2048 * MIB, output_bytes=64 * MIB, tmp_bytes=256 * MIB, processes=32, open_files=256
)
HELPERS = (
    "np", "numpy", "pd", "pandas", "sp", "scipy", "nx", "networkx", "sympy", "torch", "tf", "sklearn", "pytest", "unittest",
    "approx", "raises", "isclose", "is_close", "allclose", "all_close", "almost_equal", "is_almost_equal", "array_equal",
    "assert_equal", "assert_almost_equal", "assert_allclose", "assert_array_equal", "assertEqual", "assert_frame_equal",
    "hypothesis", "given", "mock", "patch", "MagicMock", "deepdiff",
)  # fmt: skip
"""Names of what tests compare with: never the program's, whether a test imports them or forgets to."""
_WORKING: dict[str, str] = {}
"""The isolation that worked, by STILLHOUSE_ISOLATION."""


@dataclass(frozen=True)
class TestOptions:
    """How a test is run."""

    __test__ = False  # not a test class of pytest's

    own: tuple[str, ...] = ()
    """Built-ins that the program redefines for the test."""
    refused: tuple[str, ...] = HELPERS
    """Names that the test never takes from the program."""
    unknown: tuple[str, ...] = ()
    """Names that the test uses and does not define."""
    modules: tuple[str, ...] = ()
    """Modules that the test imports and that stand for the program."""
    imports: tuple[str, ...] = ()
    """Other modules that the test imports."""
    collect: bool = False
    """The test defines functions or classes that are called as pytest calls them."""
    pytest: bool = False
    """It needs pytest itself."""
    livecodebench: bool = False
    """The program has the names and the recursion limit that LiveCodeBench gives it."""


class Sandbox:
    """A fork server and the socket to it. One run at a time; not for use by two threads."""

    def __init__(self, packages: Libraries = "standard") -> None:
        """Start the server, whose programs may import the ``packages`` of this kind.

        Raises EngineFailed if the kernel cannot isolate or the packages are missing, BadConfig for a bad STILLHOUSE_ISOLATION.
        """
        directory = libraries.directory(packages)
        self.has_libraries = bool(directory)
        self._binaries = CompiledPrograms()
        wanted = environment.text("STILLHOUSE_ISOLATION")
        if wanted not in _ATTEMPTS:
            msg = f"STILLHOUSE_ISOLATION={wanted!r} is neither portable nor weak; unset it for the strongest the kernel allows"
            raise BadConfig(msg)
        missing = []
        for isolation in [_WORKING[wanted]] if wanted in _WORKING else _ATTEMPTS[wanted]:
            self._process, self._control = _start(isolation, directory)
            hello = self._receive()
            if "isolation" in hello:
                self.isolation = _WORKING[wanted] = str(hello["isolation"])
                self.facts: dict[str, Any] = hello["facts"]
                break
            self.close()
            missing.append(str(hello.get("unavailable", hello.get("failed"))))
        else:
            msg = (
                f"no isolation for untrusted programs here ({'; '.join(missing)}): allow unprivileged user namespaces or boot with "
                "lsm=landlock,…; on a laptop STILLHOUSE_ISOLATION=weak runs them with resource limits only"
            )
            raise EngineFailed(msg)
        if self.isolation == WEAK:
            print("warning: STILLHOUSE_ISOLATION=weak: programs of models run without isolation, with limits only", file=sys.stderr)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the server and everything it runs."""
        self._binaries.close()
        self._control.close()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The id of the started process; the server itself may be its child."""
        return self._process.pid

    def python(self, source: bytes, stdin: bytes = b"", limits: Limits | None = None, *, livecodebench: bool = False) -> Outcome:
        """Run a program as ``__main__``; on demand among the names and with the recursion limit that LiveCodeBench gives it."""
        return self._run(["python"], [(source, stdin)], limits or Limits(), ["livecodebench"] if livecodebench else [])

    def tested(
        self, source: bytes, test: bytes, stdin: bytes = b"", limits: Limits | None = None, own: Sequence[str] = (),
        options: TestOptions | None = None,
    ) -> Outcome:  # fmt: skip
        """Load a program in one process and run ``test`` in another, which calls the program's functions as if they were its own.

        ``stdin`` is the test's; standard output of the outcome is the test's too. ``own``: built-ins that the program redefines.
        """
        options = options or TestOptions(own=tuple(own))
        return self._run(["tested", "tester"], [(source, b""), (test, stdin)], limits or Limits(), [json.dumps(asdict(options))])

    def joined(self, source: bytes, test: bytes, limits: Limits | None = None, options: TestOptions | None = None) -> Outcome:
        """Run a program and its test in one interpreter. Another process says whether the test came to its end."""
        arguments = [json.dumps(asdict(options or TestOptions()))]
        return self._run(["joined", "keeper"], [(source, b""), (test, b"")], limits or Limits(), arguments)

    def binary(self, program: Binary, stdin: bytes = b"", limits: Limits | None = None) -> Outcome:
        """Run a compiled program."""
        return self._run(["binary"], [(program.descriptor, stdin)], limits or Limits())

    def compiled(self, source: bytes, tag: str = "") -> Binary | Outcome:
        """Compile C++ by the standard that a block's ``tag`` names, or C; returns the outcome if that fails.

        Without a standard it is C++20, and C++17 for what is no longer C++20. What was compiled lately is not compiled again.
        Raises EngineFailed if there is no compiler.
        """
        outcome: Binary | Outcome | None = None
        for arguments in compilers.standards(tag):
            outcome = self._compiled(source, arguments)
            if isinstance(outcome, Binary) or outcome.ending != "runtime_error":
                break
        assert outcome is not None
        return outcome

    def _compiled(self, source: bytes, arguments: tuple[str, ...]) -> Binary | Outcome:
        command = compilers.command(arguments)
        if (kept := self._binaries.get(source, command)) is not None:
            return kept
        with ExitStack() as descriptors:
            binary = os.memfd_create("program", 0)
            descriptors.callback(os.close, binary)
            outcome = self._run(["compiler"], [(b"", compilers.prepared(source))], COMPILING, command, binary)
            if outcome.ending != "finished":
                return outcome
            # The kernel executes a file only once nobody has it open for writing.
            ready = Binary(os.open(f"/proc/self/fd/{binary}", os.O_RDONLY | os.O_CLOEXEC))
        self._binaries.keep(source, command, ready)
        return ready

    def _run(
        self, roles: list[str], sources: list[tuple[bytes | int, bytes]], limits: Limits,
        arguments: Sequence[str] = (), output: int | None = None,
    ) -> Outcome:  # fmt: skip
        """One run. ``sources``: source, or its descriptor, and stdin of each process; ``output``: a descriptor for stdout."""
        with ExitStack() as descriptors:
            files = []
            for source, stdin in sources:
                files.append(source if isinstance(source, int) else _file(descriptors, source))
                files.append(_file(descriptors, stdin))
                files.append(_file(descriptors) if output is None else output)
                files.append(_file(descriptors))
            request = {"roles": roles, "limits": asdict(limits), "arguments": list(arguments)}
            answer = self._ask(request, files)
            return read_outcome(answer, limits, os.pread(files[-2], limits.output_bytes, 0) if output is None else b"", files)

    def _ask(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], files)
        except OSError as error:
            msg = f"the sandbox's server is gone ({error}); was it killed for memory? see its messages on standard error"
            raise EngineFailed(msg) from error
        answer = self._receive()
        if "ended" not in answer:
            msg = f"the sandbox could not start a program: {answer.get('failed', answer.get('unavailable'))}"
            raise EngineFailed(msg)
        return answer

    def _receive(self) -> dict[str, Any]:
        try:
            message = self._control.recv(1 << 16)
        except ConnectionResetError:  # killed with a request unread
            message = b""
        if not message:
            return {"failed": f"the server ended with code {self._process.wait()}"}
        answer: dict[str, Any] = json.loads(message)
        return answer


def _start(isolation: str, packages: str) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """A server process and the socket to it. It gets nothing of this process's environment but PATH, to find a compiler."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.environ.get("PATH", os.defpath)
    environment = {
        "PATH": path, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with theirs:
        process = subprocess.Popen(
            [_interpreter(), "-S", "-s", "-P", str(Path(__file__).with_name("boot.py")), isolation, str(theirs.fileno()), packages,
             libraries.headers()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment, cwd="/",
        )  # fmt: skip
    return process, ours


def _interpreter() -> str:
    """The Python behind a virtual environment: a program has the standard library only."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def _file(descriptors: ExitStack, content: bytes | None = None) -> int:
    """The descriptor of a file in memory: writable if ``content`` is None, else with that content and sealed against changes."""
    descriptor = os.memfd_create("run", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptors.callback(os.close, descriptor)
    if content is not None:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return descriptor
