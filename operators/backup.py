"""Dumps of the release's databases, in the store: what the chart's CronJob saves, and its restore Job fetches.

    python -m operators.backup save DIRECTORY ROOT KEEP     the directory's files to ROOT/TIME/; all but the newest KEEP go
    python -m operators.backup fetch DIRECTORY ROOT TIME    the files of that time; `latest` is the newest

``pg_dump`` writes the files and ``pg_restore`` reads them, in containers of PostgreSQL's own image.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from stillhouse.artifacts import store
from stillhouse.errors import MissingInput

LATEST = "latest"
COMPLETE = "complete"
"""Written last: a backup without it was cut off, and does not count."""


def save(directory: Path, root: str, keep: int) -> str:
    """Upload a backup and remove those that are too old; returns its time. Raises MissingInput if there is nothing to save."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    if not files:
        msg = f"{directory} holds no dump; look at the log of the container that made it"
        raise MissingInput(msg)
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    here = store.store_of(root)
    for path in files:
        here.upload(path, f"{root}/{time}/{path.name}")
    here.write(f"{root}/{time}/{COMPLETE}", b"")
    for old in times(root)[:-keep]:
        _remove(root, old)
    return time


def fetch(directory: Path, root: str, time: str) -> str:
    """Download a backup's files; returns its time. Raises MissingInput, with the times there are, if there is none."""
    known = times(root)
    chosen = known[-1] if time == LATEST and known else time
    if chosen not in known:
        msg = f"{root} has no backup of {time}; there are: {', '.join(known) or 'none'}"
        raise MissingInput(msg)
    here = store.store_of(root)
    for name in here.names(f"{root}/{chosen}"):
        if name != COMPLETE:
            here.download(f"{root}/{chosen}", name, directory / name)
    return chosen


def times(root: str) -> list[str]:
    """The times of the complete backups, oldest first."""
    names = store.store_of(root).names(root)
    return sorted(time for time, _, name in (name.partition("/") for name in names) if name == COMPLETE)


def _remove(root: str, time: str) -> None:
    """Its mark first: half a backup must not look like a whole one."""
    here = store.store_of(root)
    for name in sorted(here.names(f"{root}/{time}"), key=lambda name: name != COMPLETE):
        here.remove(f"{root}/{time}/{name}")


def main(action: str, directory: str, root: str, argument: str) -> None:
    """Do one of the two, and print the time."""
    if action == "save":
        print("saved", save(Path(directory), root, int(argument)))
    else:
        print("fetched", fetch(Path(directory), root, argument))


if __name__ == "__main__":
    main(*sys.argv[1:])
