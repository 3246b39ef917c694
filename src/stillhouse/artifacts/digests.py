"""The sha256 of a file."""

import hashlib
from pathlib import Path

from stillhouse.errors import MissingInput


def sha256(path: Path) -> str:
    """The file's digest, in hex. Raises MissingInput if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"{path}: {error.strerror}; give a file that can be read"
        raise MissingInput(msg) from error
