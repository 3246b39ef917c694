"""Links that log a browser in to the laptop's Airflow once: ``/login/SECRET``.

A link's file is named after the sha256 of its secret and holds the page that the link leads to. So the directory gives no link
away, and no link leads to another site. Whoever reads the terminal can use the link, just as they can use the password beside it.
"""

import hashlib
import secrets
from pathlib import Path

from laptop.settings import write_private

PREFIX = "/login"
USED = ".used"


def path_of(directory: Path, secret: str) -> Path:
    """The file of a link."""
    return directory / hashlib.sha256(secret.encode()).hexdigest()


def new(directory: Path, page: str) -> str:
    """The path of a new link to ``page``, a path on the same server."""
    secret = secrets.token_urlsafe(16)
    write_private(path_of(directory, secret), page)
    return f"{PREFIX}/{secret}"


def use(directory: Path, secret: str) -> tuple[str, bool]:
    """Where the link leads, and whether this is its first use, which alone logs in. An unknown link leads to the front page."""
    path = path_of(directory, secret)
    used = path.with_suffix(USED)
    try:
        # Renaming is atomic: of two requests with one link, one logs in.
        path.rename(used)
    except FileNotFoundError:
        return (used.read_text(encoding="utf-8") if used.is_file() else "/"), False
    return used.read_text(encoding="utf-8"), True


def forget(directory: Path) -> None:
    """Make all links useless, as when the services stop."""
    for path in directory.glob("*"):
        path.unlink(missing_ok=True)
