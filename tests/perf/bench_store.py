"""What checking adds to fetching an artifact: plain transfers of the same files, as many at a time, against checked fetches.

On S3 each file is hashed as it arrives, in the same pass: 5 % are allowed there. On disk a fetch links files and reads each once to
check it, so a copy stands for the transfer. With ``AWS_ENDPOINT_URL`` and ``STILLHOUSE_BENCH_ROOT`` (``s3://…``), S3 is measured.
Over loopback the hash, about 1.3 GB/s a core, is what limits a fetch; over a network it waits for the bytes.
"""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stillhouse import testing
from stillhouse.artifacts import integrity, s3, store
from stillhouse.artifacts import manifest as manifests
from tests.perf.measure import best_of, table

FILES, FILE_BYTES = 8, int(os.environ.get("STILLHOUSE_BENCH_FILE_BYTES", str(64 * 2**20)))
RUNS = 3


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


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        roots = {"file": (scratch / "store").as_uri(), "s3": os.environ.get("STILLHOUSE_BENCH_ROOT", "")}
        rows = []
        for kind, root in roots.items():
            if not root:
                continue
            uri = f"{root}/sft/bench/{os.getpid()}"
            testing.publish_files({f"weights-{number}": os.urandom(FILE_BYTES) for number in range(FILES)}, "sft", uri)
            plain = best_of(RUNS, lambda uri=uri: copied(uri, scratch))  # type: ignore[misc]
            checked = best_of(RUNS, lambda uri=uri: fetched(uri, scratch))  # type: ignore[misc]
            size = FILES * FILE_BYTES / 2**20
            rows.append((kind, f"{size:.0f} MiB", f"{plain:.2f} s", f"{checked:.2f} s", f"{(checked - plain) / checked:+.1%}"))
        table(("store", "size", "unchecked", "checked fetch", "added by checking, share of the fetch"), rows)


if __name__ == "__main__":
    main()
