"""Fetching an artifact with every file checked, against plain copies of the same files; on S3 against plain downloads.

On disk a fetch links files, and reads each once to check it. With ``AWS_ENDPOINT_URL`` and ``STILLHOUSE_BENCH_ROOT`` (``s3://…``)
set, S3 is measured too.
"""

import os
import shutil
import tempfile
from pathlib import Path

from stillhouse import testing
from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from tests.perf.measure import best_of, table

FILES, FILE_BYTES = 8, int(os.environ.get("STILLHOUSE_BENCH_FILE_BYTES", str(64 * 2**20)))
RUNS = 3


def copied(uri: str, scratch: Path) -> None:
    """The files as they are, unchecked."""
    directory = Path(tempfile.mkdtemp(dir=scratch))
    for stored in manifests.load(uri).stored.values():
        if uri.startswith("file://"):
            shutil.copyfile(store.local_path(store.join(uri, stored)), directory / stored)
        else:
            from stillhouse.artifacts.s3 import _bucket_and_key, _s3

            bucket, key = _bucket_and_key(uri)
            _s3().download_file(bucket, f"{key}/{stored}", str(directory / stored))
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
            rows.append((kind, f"{size:.0f} MiB", f"{plain:.2f} s", f"{checked:.2f} s", f"{checked / plain:.2f}"))
        table(("store", "size", "unchecked copy", "checked fetch", "ratio"), rows)


if __name__ == "__main__":
    main()
