"""The cache of models that pods share: where it lies, one writer at a time, and what is complete in it.

Hub models lie in huggingface_hub's own cache (``HF_HOME``), everything else that has to be fetched beside it in ``stillhouse/``.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from stillhouse.errors import MissingInput
from stillhouse.vocabulary import environment

COMPLETE = ".complete"
"""Written last into a directory of the cache: without it, the directory is half fetched."""


def hub_cache() -> Path:
    """Where huggingface_hub keeps models: ``HF_HUB_CACHE``, else below ``HF_HOME``."""
    home = environment.text("HF_HOME", str(Path(environment.text("XDG_CACHE_HOME", "~/.cache")) / "huggingface"))
    return Path(environment.text("HF_HUB_CACHE", str(Path(home) / "hub"))).expanduser()


def own_cache() -> Path:
    """Where everything else is kept that had to be fetched."""
    return hub_cache().parent / "stillhouse"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to a path: of all processes that share the cache, one at a time does the block."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        held.acquire()
    except OSError as error:
        why = error.strerror or error
        msg = f"the cache of models at {lock.parent} cannot be written ({why}); set HF_HOME to a directory of yours"
        raise MissingInput(msg) from error
    try:
        yield
    finally:
        held.release()


def filled(key: str, fill: Callable[[Path], None]) -> Path:
    """The directory of the cache under this key; ``fill`` writes its files, once for all processes that share the cache."""
    directory = own_cache() / key
    if (directory / COMPLETE).is_file():
        return directory
    with locked(directory):
        if not (directory / COMPLETE).is_file():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            fill(directory)
            (directory / COMPLETE).touch()
    return directory


def require_room(directory: Path, n_bytes: int, label: str) -> None:
    """Raise MissingInput if the disk of ``directory`` has less room than that."""
    free = shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.exists())).free
    if free < n_bytes:
        msg = (
            f"model {label}: {size(n_bytes)} are to be fetched, and {directory} has room for {size(free)}; free some, or set "
            "HF_HOME to a directory with room"
        )
        raise MissingInput(msg)


def size(n_bytes: float) -> str:
    """``12.3 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.1f} TB"
