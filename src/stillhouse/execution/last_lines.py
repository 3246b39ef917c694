"""The last lines that a stage writes to standard error, kept with its run as ``log.txt``: what to read first when it failed."""

import contextlib
import re
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

from stillhouse.vocabulary.masking import masked, one_line, printable

if TYPE_CHECKING:
    from stillhouse.execution.tracked_run import Tracked

NAME = "log.txt"
MOST_LINES, MOST_CHARS = 200, 1000
"""Lines that are kept, and characters of each."""
_REDRAWN = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
"""What moves the cursor or colours text on a terminal."""


class CopiedStream:
    """A stream that passes everything on to another one, and keeps the last lines. A line drawn over another replaces it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._rest = ""

    def write(self, text: str) -> int:
        """Pass the text on."""
        with self._lock:
            *lines, rest = (self._rest + text).split("\n")
            self._lines.extend(map(_as_drawn, lines))
            self._rest = rest if len(rest) <= MOST_CHARS else masked(rest)[-MOST_CHARS:]
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        """Everything else, such as ``isatty``, is the stream's own."""
        return getattr(self._stream, name)

    @property
    def text(self) -> str:
        """The last lines, without secrets and control characters."""
        with self._lock:
            lines = [*self._lines, *([_as_drawn(self._rest)] if self._rest else [])]
        return "".join(f"{printable(line)}\n" for line in lines if line)


@contextlib.contextmanager
def kept(run: "Tracked") -> Iterator[None]:
    """Keep what is written to standard error while the block runs, and the error that ends it."""
    copied = CopiedStream(sys.stderr)
    ending = ""
    try:
        with contextlib.redirect_stderr(cast("TextIO", copied)):
            yield
    except BaseException as error:
        ending = f"{type(error).__name__}: {masked(one_line(error))}\n"
        raise
    finally:
        if text := copied.text + ending:
            run.text(NAME, text)


def _as_drawn(line: str) -> str:
    """The line as a terminal shows it in the end; masked before it is cut, because half a secret is not recognised."""
    return masked(_REDRAWN.sub("", line.rstrip("\r").rpartition("\r")[2]))[:MOST_CHARS]
