"""Which code made a result."""

import subprocess
from functools import cache
from pathlib import Path

from stillhouse.vocabulary import environment


@cache
def code_commit() -> str:
    """The commit of the running code: set by the image, else from git, else ``unknown``."""
    if commit := environment.text("STILLHOUSE_COMMIT"):
        return commit
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
