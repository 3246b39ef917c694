"""What a command prints, without secrets and without characters that a terminal would obey."""

from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from stillhouse.vocabulary.masking import masked, printable

LAYOUT = "\n\t"
REDRAW = ("\r", "\x1b[K")
"""The control characters with which our progress bar redraws its line."""


class PlainConsole(Console):
    """A console that shows control characters of the texts it prints in their escaped form; its own colours work."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See rich.console.Console."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, keep=LAYOUT), segment.style)


class MaskedStream:
    """A text stream that writes no secret; for standard error, no control character either, except the progress bar's."""

    def __init__(self, stream: TextIO, *, plain: bool) -> None:
        self._stream, self._plain = stream, plain

    def write(self, text: str) -> int:
        """Write the text. Returns its length, as callers check it."""
        self._stream.write(self._cleaned(text))
        return len(text)

    def _cleaned(self, text: str) -> str:
        text = masked(text)
        if not self._plain:
            return text
        start, end = "", ""
        if text.startswith(REDRAW[0]):
            start, text = REDRAW[0], text[1:]
        if text.endswith(REDRAW[1]):
            end, text = REDRAW[1], text.removesuffix(REDRAW[1])
        return start + printable(text, keep=LAYOUT) + end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
