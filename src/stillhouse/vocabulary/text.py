"""Texts cut to a length: for messages, for the details of rows, and for models that read only so much."""

from collections.abc import Sequence

CUT = "…"


def shortened(text: str, n_chars: int) -> str:
    """At most ``n_chars`` characters: the beginning, with ``…`` at the cut."""
    return text if len(text) <= n_chars else text[: n_chars - len(CUT)] + CUT


def ending(text: str, n_chars: int) -> str:
    """At most ``n_chars`` characters: the end, with ``…`` at the cut."""
    return text if len(text) <= n_chars else CUT + text[len(text) - n_chars + len(CUT) :]


def excerpt(text: str, n_chars: int) -> str:
    """The whole text, or ``n_chars`` characters of it: the beginning and the end, and between them a line that counts the rest."""
    if len(text) <= n_chars:
        return text
    half = n_chars // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table for terminals and logs: the first column to the left, the others to the right, the last one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if n in {0, last} else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """``90 s``, ``12 min`` or ``5 h``."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
