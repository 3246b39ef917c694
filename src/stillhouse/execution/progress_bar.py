"""How far a stage is, as a line on standard error; on a terminal with a bar, over the last line."""

import shutil
import sys

from stillhouse.vocabulary.masking import printable

CELLS = 24


def show(done: float, total: float, unit: str) -> None:
    """Print the line."""
    share = done / max(total, 1)
    counted, dot, more = unit.partition(" · ")
    line = printable(f"{done:,.0f} of {total:,.0f} {counted} ({share:.0%}){dot}{more}")
    if not sys.stderr.isatty():
        print(f"  {line}", file=sys.stderr, flush=True)
        return
    filled = round(CELLS * min(share, 1))
    # A line that wraps cannot be drawn over.
    line = line[: max(0, shutil.get_terminal_size().columns - CELLS - 4)]
    cells = "█" * filled + "░" * (CELLS - filled)
    # The last line may have been longer: the escape sequence erases its rest.
    sys.stderr.write(f"\r  {cells} {line}\x1b[K")
    sys.stderr.write("" if done < total else "\n")
    sys.stderr.flush()
