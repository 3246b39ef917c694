"""How far a stage is, as a line on standard error; on a terminal with a bar, over the last line."""

import sys

CELLS = 24


def show(done: float, total: float, unit: str) -> None:
    """Print the line."""
    share = done / max(total, 1)
    line = f"{done:,.0f} of {total:,.0f} {unit} ({share:.0%})"
    if not sys.stderr.isatty():
        print(f"  {line}", file=sys.stderr, flush=True)
        return
    filled = round(CELLS * min(share, 1))
    cells = "█" * filled + "░" * (CELLS - filled)
    # The last line may have been longer: what is left of it is erased.
    print(f"\r  {cells} {line}\x1b[K", end="" if done < total else "\n", file=sys.stderr, flush=True)
