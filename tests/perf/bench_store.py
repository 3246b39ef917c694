"""What checking adds to fetching an artifact: plain transfers of the same files, as many at a time, against checked fetches.

Each file is hashed in the thread that writes it, while other threads receive the next bytes. S3 is a server on loopback that sends
as fast as a network of 1 Gbit/s, so that a fetch takes as long as it does elsewhere: 5 % are allowed there. On disk a fetch links
files and reads each once to check it, so a copy stands for the transfer. Plain and checked fetches take turns; medians count.

With ``AWS_ENDPOINT_URL`` and ``STILLHOUSE_BENCH_ROOT`` (``s3://…``) another server is measured as well.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow  # noqa: F401 - what a fetch imports is not timed

from stillhouse import testing
from stillhouse.artifacts import integrity, s3, store
from stillhouse.artifacts import manifest as manifests
from tests.fakes.s3 import BUCKET, serving
from tests.perf.measure import table, timed

FILES, FILE_BYTES = 8, int(os.environ.get("STILLHOUSE_BENCH_FILE_BYTES", str(32 * 2**20)))
NETWORK = 125_000_000
"""Bytes a second: 1 Gbit/s."""
ROUNDS = 5


def copied(uri: str, scratch: Path) -> None:
    """The files as they are, unchecked."""
    directory = Path(tempfile.mkdtemp(dir=scratch))

    def copy(stored: str) -> None:
        if uri.startswith("file://"):
            shutil.copyfile(store.local_path(store.join(uri, stored)), directory / stored)
            return
        bucket, key = s3._bucket_and_key(uri)
        with (directory / stored).open("wb") as file:
            s3._s3().download_fileobj(bucket, f"{key}/{stored}", file)

    with ThreadPoolExecutor(integrity.READERS) as pool:
        list(pool.map(copy, manifests.load(uri).stored.values()))
    shutil.rmtree(directory)


def fetched(uri: str, scratch: Path) -> None:
    """The files, checked."""
    shutil.rmtree(integrity.fetch(uri, scratch))


def medians(uri: str, scratch: Path) -> tuple[float, float, float, float]:
    """Wall and CPU seconds of a plain transfer, and of a checked fetch."""

    def once(call: Callable[[str, Path], None]) -> tuple[float, float]:
        busy = time.process_time()
        with timed() as timing:
            call(uri, scratch)
        return timing.seconds, time.process_time() - busy

    rounds = [(*once(copied), *once(fetched)) for _ in range(ROUNDS)]
    plain, plain_busy, checked, checked_busy = (statistics.median(column) for column in zip(*rounds, strict=True))
    return plain, plain_busy, checked, checked_busy


def serve(end: Connection) -> None:
    """A server as slow as the network, until the other end of the pipe is closed. A process of its own: Python runs one thread."""
    with serving(bytes_per_s=NETWORK) as server:
        end.send(server.url)
        end.poll(None)


def main() -> None:
    """Measure, and print a table."""
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        given = os.environ.get("AWS_ENDPOINT_URL", "")
        stores = [("disk", (scratch / "store").as_uri(), given), ("S3 at 1 Gbit/s", f"s3://{BUCKET}", here.recv())]
        stores += [(f"S3 at {given}", os.environ["STILLHOUSE_BENCH_ROOT"], given)] if "STILLHOUSE_BENCH_ROOT" in os.environ else []
        rows = []
        for kind, root, endpoint in stores:
            os.environ["AWS_ENDPOINT_URL"] = endpoint
            os.environ.setdefault("AWS_ACCESS_KEY_ID", "key")
            os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "secret")
            s3._s3.cache_clear()
            uri = f"{root}/sft/bench/{os.getpid()}"
            testing.publish_files({f"weights-{number}": os.urandom(FILE_BYTES) for number in range(FILES)}, "sft", uri)
            plain, plain_busy, checked, checked_busy = medians(uri, scratch)
            size = FILES * FILE_BYTES / 2**20
            share, busy = f"{(checked - plain) / checked:+.1%}", f"{(checked_busy - plain_busy) / size * 1024:+.2f} s"
            rows.append((kind, f"{size:.0f} MiB", f"{plain:.2f} s", f"{checked:.2f} s", share, busy))
        header = ("store", "size", "unchecked", "checked fetch", "added by checking, share of the fetch", "CPU of checking, a GiB")
        table(header, rows)
    here.close()
    process.join()


if __name__ == "__main__":
    main()
