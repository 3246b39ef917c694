"""Where the time from a stage's start to its first step goes, part by part."""

import time

from stillhouse.vocabulary.text import duration


class StartTimes:
    """A clock that is told what has just ended."""

    def __init__(self) -> None:
        """The stage begins."""
        self.parts: dict[str, float] = {}
        """Seconds by part, in order."""
        self._since = time.monotonic()

    def ended(self, part: str) -> None:
        """A part has ended, and the next one begins."""
        now = time.monotonic()
        self.parts[part] = self.parts.get(part, 0.0) + now - self._since
        self._since = now

    def metrics(self) -> dict[str, float]:
        """By metric."""
        return {f"start/{part}_s": seconds for part, seconds in self.parts.items()}

    def in_words(self) -> str:
        """In a line for the log."""
        parts = ", ".join(f"{part.replace('_', ' ')} {duration(seconds)}" for part, seconds in self.parts.items())
        return f"first step done after {duration(sum(self.parts.values()))}: {parts}"
