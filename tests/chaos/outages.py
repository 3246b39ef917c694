"""A store, a tracking server and a disk that fail at random points while a writer works: only time is lost."""

import os
import random
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.trials import Tally, check, prepared, writer
from tests.fakes.s3 import FakeS3

STORE_FAULTS = ("500", "503", "409", "cut-off", "lost", "cut", "flip", "away")
"""See ``tests.fakes.s3``; ``away`` is a server that ends every connection for a while."""
WRITES = {"409", "lost"}
"""Faults that only a PUT or POST can meet."""
LONGEST_S = 180
CAPACITY = 600 * 1024
"""Bytes of the disk that fills up: room for the artifact, its scratch copy and a margin."""
Disturb = Callable[[random.Random], int]


def store_faults(server: FakeS3) -> Disturb:
    """Plant faults in the next requests, or take the server away for up to three seconds."""

    def disturb(draw: random.Random) -> int:
        kinds = draw.choices(STORE_FAULTS, k=draw.randint(1, 4))
        for kind in kinds:
            fault: dict[str, Any] = {"do": "cut-off" if kind == "away" else kind}
            if kind != "away":
                fault |= {"times": draw.randint(1, 5), "method": draw.choice(("PUT", "POST")) if kind in WRITES else "GET"}
            server.faults.append(fault)
            time.sleep(draw.uniform(0.1, 3.0) if kind == "away" else draw.uniform(0.0, 0.5))
            if kind == "away":
                server.faults.remove(fault)
        return len(kinds)

    return disturb


def paused_server(pid: int) -> Disturb:
    """Have a server hang (SIGSTOP) for up to four seconds."""

    def disturb(draw: random.Random) -> int:
        os.killpg(pid, signal.SIGSTOP)
        try:
            time.sleep(draw.uniform(0.5, 4.0))
        finally:
            os.killpg(pid, signal.SIGCONT)
        return 1

    return disturb


def run(
    root: str, trials: int, seed: int, disturb: Disturb, more: dict[str, str], calm: Callable[[], None] = lambda: None
) -> Tally:
    """One writer a trial, disturbed while it works; now and then it is killed as well, and another one goes on.

    ``calm`` ends the faults: a file that arrives damaged again and again is refused, and made right by the next writer, who also
    removes what one that was killed after its manifest had left.
    """
    stage = prepared(root, seed)
    tally, draw = Tally(), random.Random(seed)
    for number in range(trials):
        output = stage.output(seed * 1000 + number)
        process = writer(stage.questions, output, f"x{number}", draw.uniform(0.02, 0.2), more)
        time.sleep(draw.uniform(0.3, 2.5))
        tally.faults += disturb(draw)
        if draw.random() < 0.25:
            process.kill()
            tally.faults += 1
        code = process.wait(LONGEST_S)
        tally.codes.update([code])
        calm()
        if code != 0:
            tally.codes.update([writer(stage.questions, output, f"x{number}", 0, more).wait(LONGEST_S)])
        check(output, tally, killed=False)
        tally.trials += 1
    tally.touched += stage.touched()
    return tally


def run_on_small_disks(trials: int, seed: int, log: Path) -> Tally:
    """The store or the scratch directory fills up while a writer works; when there is room, the next one goes on."""
    tally, draw = Tally(), random.Random(seed)
    for number in range(trials):
        with tempfile.TemporaryDirectory() as directory:
            stage = prepared((Path(directory) / "store").as_uri(), seed)
            scratch, outputs = Path(directory, "scratch"), Path(directory, "store", "toy_stage")
            scratch.mkdir()
            with small_disk(draw.choice((scratch, outputs))) as disk:
                run_until_full(stage.questions, stage.output(number), scratch, disk, draw, tally, log)
                if disk.mount == outputs:
                    shutil.copytree(disk.seen, outputs, dirs_exist_ok=True)
            check(stage.output(number), tally, killed=False)
            tally.touched += stage.touched()
        tally.trials += 1
        tally.faults += 1
    return tally


def run_until_full(
    questions: str, output: str, scratch: Path, disk: "SmallDisk", draw: random.Random, tally: Tally, log: Path
) -> None:  # fmt: skip
    """A writer meets a full disk, and another one goes on when there is room."""
    more = {"STILLHOUSE_SCRATCH": str(scratch)}
    process = writer(questions, output, "x", draw.uniform(0.02, 0.1), more, log, disk.enter)
    time.sleep(draw.uniform(0.3, 2.0))
    ballast = disk.seen / "ballast"
    fill(ballast)
    tally.codes.update([process.wait(LONGEST_S)])
    ballast.unlink()
    tally.codes.update([writer(questions, output, "x", 0, more, log, disk.enter).wait(LONGEST_S)])


def fill(path: Path) -> None:
    """Write until the disk takes no more."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own, in memory, mounted in the namespace of one process."""

    mount: Path
    """Where processes in the namespace see it."""
    seen: Path
    """Where this process sees it."""
    enter: tuple[str, ...]
    """A command's beginning that runs the rest in the namespace."""


@contextmanager
def small_disk(mount: Path) -> Iterator[SmallDisk]:
    """Mount a disk of ``CAPACITY`` over a directory, with what lies there, while the block runs. Needs no root.

    Raises OSError where the system allows no user namespaces.
    """
    copy = shlex.quote(f"{mount}/.")
    script = (
        f"exec 3< {shlex.quote(str(mount))} && mount -t tmpfs -o size={CAPACITY} tmpfs {shlex.quote(str(mount))} && "
        f"cp -a /proc/self/fd/3/. {copy} && echo mounted && exec sleep 600"
    )
    holder = subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.PIPE)
    try:
        if holder.stdout is None or holder.stdout.readline() != b"mounted\n":
            msg = "unshare mounted no file system: user namespaces are off"
            raise OSError(msg)
        enter = ("nsenter", "--preserve-credentials", "-U", "-m", "-t", str(holder.pid))
        yield SmallDisk(mount, Path(f"/proc/{holder.pid}/root{mount}"), enter)
    finally:
        holder.kill()
        holder.wait()


def total(tallies: dict[str, Tally]) -> list[tuple[str, ...]]:
    """The table's rows, the header first and the sum last."""
    header = (
        "faults in",
        "trials",
        "faults survived",
        "rows lost",
        "doubled",
        "damaged",
        "not published",
        "files of others touched",
    )
    rows = [
        (kind, *map(str, (tally.trials, tally.faults, tally.lost, tally.doubled, tally.damaged, tally.unpublished, tally.touched)))
        for kind, tally in tallies.items()
    ]
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(1, len(header))]
    return [header, *rows, ("all", *sums)]
