"""What a run has to tell the tracking server, on disk: one file per run, JSON lines in order, kept until the server has them.

A spool is the file ``{execution}.jsonl``, a directory ``{execution}.files`` with copies of the run's artifacts, and a lock that its
writer holds while it lives. The first line is the header, which says what the run is; records follow, numbered from 1; lines of
kind ``sent`` say up to which record the server has them. A killed process leaves the file, and ``abandoned`` finds it.
"""

import errno
import fcntl
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stillhouse.vocabulary import environment

LIMIT_BYTES = 64 * 2**20
"""Bytes of one run's file. Beyond, records that were sent go first, then every second of the oldest metrics that were not."""
DIRECTORY_NAME = ".stillhouse-spool"

Record = dict[str, Any]


def directory() -> Path:
    """Where the spools of this machine lie: ``STILLHOUSE_SPOOL``, else below the scratch directory. Created for this user alone."""
    named = environment.text("STILLHOUSE_SPOOL")
    scratch = Path(environment.text("STILLHOUSE_SCRATCH") or tempfile.gettempdir())
    path = Path(named) if named else scratch / f"{DIRECTORY_NAME}-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        msg = f"{path} belongs to another user; set STILLHOUSE_SPOOL to a directory of your own"
        raise PermissionError(msg)
    return path


class RunSpool:
    """The spool of one run. Any thread may ``append``; one thread takes the ``waiting`` records and marks them ``sent``."""

    def __init__(self, path: Path, header: Record | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        """Start a spool with a header, or take over the one at ``path``. Raises BlockingIOError where its writer lives."""
        self.path, self.limit_bytes = path, limit_bytes
        self._lock = threading.Lock()
        self._held = _locked(path.with_suffix(".lock"))
        self.n_thinned = 0
        self._start, self._next = 0, (0, 0)
        self._torn = False
        """Whether the disk took only a part of the last line."""
        try:
            if header is None:
                self._take_over()
            else:
                self.header, self.last, self.sent_to = header, 0, 0
                self._rewrite([])
            self._file = path.open("ab", buffering=0)  # what a full disk refuses is lost at once, and not met again at the end
        except (OSError, ValueError):
            os.close(self._held)
            raise

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record to the end. Raises OSError where the disk does not take it."""
        with self._lock:
            self.last += 1
            self._write({"n": self.last, **record})
            if not self._file.closed and self._file.tell() > self.limit_bytes:
                self._shrink()

    def waiting(self, most: int) -> list[Record]:
        """The first ``most`` records that were not sent."""
        with self._lock, self.path.open("rb") as file:
            file.seek(self._start)
            records: list[Record] = []
            end = self._start
            for line in file:
                end += len(line)
                record = _parsed(line)
                if "n" in record and record["n"] > self.sent_to:
                    records.append(record)
                if len(records) == most:
                    break
            self._next = (records[-1]["n"] if records else self.sent_to, end)
        return records

    def sent(self, last: int) -> None:
        """The server has every record up to this number."""
        with self._lock:
            self.sent_to = last
            if self._next[0] == last:
                self._start = self._next[1]
            self._write({"kind": "sent", "upto": last})

    def created(self, run_id: str) -> None:
        """The server made the run under this id."""
        with self._lock:
            self.header["run_id"] = run_id
            self._write({"kind": "created", "run_id": run_id})

    def keep_file(self, source: Path) -> str:
        """Copy an artifact beside the records. Returns its path below the spool's directory."""
        target = self.files / str(self.last + 1) / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target.relative_to(self.path.parent).as_posix()

    @property
    def files(self) -> Path:
        """The directory of artifact copies."""
        return self.path.with_suffix(".files")

    def close(self) -> None:
        """Bring everything to the disk, as far as it takes it, and let others take over."""
        with self._lock:
            self._end_file()
            os.close(self._held)

    def remove(self) -> None:
        """Delete a spool whose records were all sent."""
        with self._lock:
            self._end_file()
            shutil.rmtree(self.files, ignore_errors=True)
            self.path.unlink(missing_ok=True)
            self.path.with_suffix(".lock").unlink(missing_ok=True)
            os.close(self._held)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file.closed:
            return  # the stage has ended; whoever takes the spool over sends it again
        data = b"\n" * self._torn + json.dumps(line, separators=(",", ":")).encode() + b"\n"
        self._torn = True
        if self._file.write(data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._torn = False

    def _end_file(self) -> None:
        """Close the file. What a full disk did not take was told when it was written."""
        with suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()

    def _take_over(self) -> None:
        lines = [_parsed(line) for line in self.path.read_bytes().splitlines()]
        self.header = lines[0] if lines else {}
        if self.header.get("kind") != "run":
            msg = f"{self.path}: not a spool of a run"
            raise ValueError(msg)
        numbers = [line["n"] for line in lines if "n" in line]
        marks = [line["upto"] for line in lines if line.get("kind") == "sent"]
        for line in lines:
            if line.get("kind") == "created":
                self.header["run_id"] = line["run_id"]
        self.sent_to = max([self.header.get("sent_to", 0), *marks])
        self.last = max([self.sent_to, *numbers])
        self.n_thinned = self.header.get("n_thinned", 0)
        # A killed writer may have left half a line: nothing may be appended to it.
        self._rewrite([line for line in lines if line.get("n", 0) > self.sent_to])

    def _shrink(self) -> None:
        """Drop what was sent; if the rest is still more than half the limit, thin the oldest metrics until it is not."""
        with self.path.open("rb") as file:
            lines = [record for line in file if (record := _parsed(line)).get("n", 0) > self.sent_to]
        sizes = [len(json.dumps(line)) for line in lines]
        total = sum(sizes)
        while total > self.limit_bytes / 2:
            oldest = [place for place, line in enumerate(lines[: max(2, len(lines) // 2)]) if line["kind"] == "metrics"]
            gone = set(oldest[::2])
            if not gone:
                break  # what is left is never dropped
            self.n_thinned += len(gone)
            lines = [line for place, line in enumerate(lines) if place not in gone]
            sizes = [size for place, size in enumerate(sizes) if place not in gone]
            total = sum(sizes)
        self._rewrite(lines)
        self._file.close()
        self._file = self.path.open("ab", buffering=0)

    def _rewrite(self, records: list[Record]) -> None:
        """Replace the file by the header and these records."""
        header = {"kind": "run", **self.header, "sent_to": self.sent_to, "n_thinned": self.n_thinned}
        unfinished = self.path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            for line in (header, *records):
                file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.path)
        self._start, self._next = 0, (0, 0)


def abandoned(server: str) -> Iterator[RunSpool]:
    """The spools for this server whose writers are gone, oldest first, each taken over. Damaged ones are left where they are."""
    for path in sorted(directory().glob("*.jsonl"), key=lambda each: each.stat().st_mtime if each.exists() else 0.0):
        try:
            spool = RunSpool(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # its writer lives, or another process has just sent it
        except ValueError:
            path.rename(path.with_suffix(".damaged"))
            continue
        if spool.header.get("server") == server:
            yield spool
        else:
            spool.close()


def _locked(path: Path) -> int:
    """A descriptor that holds the lock until it is closed or the process ends. Raises BlockingIOError where another holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _parsed(line: bytes) -> Record:
    """The line's object; an empty one for a line that a killed process left unfinished."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
