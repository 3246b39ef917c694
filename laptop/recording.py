"""``make recording``: ``make demo`` on a terminal, as one animated SVG that any browser plays."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

import pyte

from stillhouse.errors import ServiceFailed

COLUMNS, LINES = 100, 34
FRAMES = 48
FRAME_S = 2.5
"""The recording plays for two minutes, however long the demo took."""
SNAP_EVERY_S = 1.0
CHARACTER, LINE = 8.0, 17
"""The width and height of a character, in the SVG's units."""
COLOURS = {
    "default": "#d6deeb", "green": "#7fdb8f", "cyan": "#7fdbca", "red": "#ff6b6b", "brown": "#e6c07b", "blue": "#82aaff",
    "magenta": "#c792ea", "black": "#5c6773", "white": "#d6deeb",
}  # fmt: skip
BACKGROUND = "#0b1522"

Style = tuple[str, bool]
Row = list[tuple[Style, str]]
Frame = list[Row]


def record(command: list[str], output: Path, title: str, home: Path) -> None:
    """Run the command on a terminal of its own, and write what it showed under this title. Raises ServiceFailed if it fails.

    The path of ``home``, which is this machine's own, is shown as ``.stillhouse``.
    """
    frames = [frame for frame, _ in groupby(_frames(command))]
    drawn = animation(thinned(frames, FRAMES), title)
    output.write_text(drawn.replace(escape(str(home)), ".stillhouse"), encoding="utf-8")


def _frames(command: list[str]) -> Iterator[Frame]:
    """The screen, each time that a second has passed, and as the command leaves it."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    terminal, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment, close_fds=True)
    os.close(child)
    last = time.monotonic()
    while data := _read(terminal):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        stream.feed(data)
        if time.monotonic() - last >= SNAP_EVERY_S:
            last = time.monotonic()
            yield shown(screen)
    yield shown(screen)
    os.close(terminal)
    if process.wait():
        msg = f"{' '.join(command)} ended with exit code {process.returncode}; nothing was recorded"
        raise ServiceFailed(msg)


def _read(terminal: int) -> bytes:
    """What the command printed next; empty once it has ended."""
    select.select([terminal], [], [])
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so where the other end is closed
        return b""


def shown(screen: pyte.Screen) -> Frame:
    """The screen's lines, each as runs of characters of one style."""
    frame = []
    for line in range(screen.lines):
        cells = [screen.buffer[line][column] for column in range(screen.columns)]
        runs = groupby(cells, key=lambda cell: (cell.fg, cell.bold))
        frame.append([(style, "".join(cell.data for cell in run)) for style, run in runs])
    return frame


def thinned(frames: list[Frame], most: int) -> list[Frame]:
    """At most this many frames, evenly spaced, the first and the last among them."""
    if len(frames) <= most:
        return frames
    return [frames[round(index * (len(frames) - 1) / (most - 1))] for index in range(most)]


def animation(frames: list[Frame], title: str) -> str:
    """An SVG that shows the frames one after the other, for ever, without a script."""
    width, height, total = COLUMNS * CHARACTER + 24, LINES * LINE + 24, len(frames) * FRAME_S
    visible = 100 / len(frames)
    style = (
        "text{font:13px ui-monospace,Menlo,Consolas,monospace;white-space:pre}"
        f".f{{visibility:hidden;animation:s {total}s infinite step-end}}"
        f"@keyframes s{{0%{{visibility:visible}}{visible:.4f}%{{visibility:hidden}}}}"
    )
    drawn = "\n".join(
        f'<g class="f" style="animation-delay:{index * FRAME_S}s">{_lines(frame)}</g>' for index, frame in enumerate(frames)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">\n<title>{escape(title)}</title>\n'
        f'<style>{style}</style>\n<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n{drawn}\n</svg>\n'
    )


def _lines(frame: Frame) -> str:
    return "".join(
        f'<text x="12" y="{12 + LINE * (number + 1)}">{_spans(row)}</text>'
        for number, row in enumerate(frame)
        if any(text.strip() for _, text in row)
    )


def _spans(row: Row) -> str:
    """Runs at their own column, so that a font whose signs differ in width cannot shift what follows."""
    spans, column = [], 0
    for (colour, bold), text in row:
        weight = ' font-weight="bold"' if bold else ""
        fill = COLOURS.get(colour, f"#{colour}" if len(colour) == 6 else COLOURS["default"])
        if text.strip():
            spans.append(f'<tspan x="{12 + column * CHARACTER:.0f}" fill="{fill}"{weight}>{escape(text.rstrip())}</tspan>')
        column += len(text)
    return "".join(spans)
