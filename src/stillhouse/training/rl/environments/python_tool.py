"""The tool ``python``: a program of the model's, in the sandbox that also runs code answers."""

from queue import Empty, SimpleQueue

from stillhouse.verification.sandbox.limits import MIB, Limits
from stillhouse.verification.sandbox.run_outcome import Outcome
from stillhouse.verification.sandbox.runner import Sandbox

OUTPUT_BYTES = 1 * MIB
"""Most output of a program; the reply shows far less of it."""


class PythonTool:
    """Runs programs, each in a fresh process without network and files. Threads may share it: each run has a sandbox of its own."""

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s``: seconds of processor time a program may take."""
        self._limits = Limits(cpu_s=timeout_s, wall_s=timeout_s, output_bytes=OUTPUT_BYTES)
        self._idle: SimpleQueue[Sandbox] = SimpleQueue()

    def run(self, code: str) -> str:
        """Run a Python program and read what it prints. It has the standard library, and neither network nor files.

        Args:
            code: The program.
        """
        try:
            sandbox = self._idle.get_nowait()
        except Empty:
            sandbox = Sandbox()
        outcome = sandbox.python(code.encode(errors="replace"), limits=self._limits)
        self._idle.put(sandbox)
        return _shown(outcome)


def _shown(outcome: Outcome) -> str:
    """What the program printed, and how it ended if it did not end well."""
    printed = outcome.stdout.decode(errors="replace").rstrip("\n")
    if outcome.ending == "finished":
        return printed or "(the program printed nothing)"
    return "\n".join(part for part in (printed, outcome.ending.replace("_", " "), outcome.errors.strip()) if part)
