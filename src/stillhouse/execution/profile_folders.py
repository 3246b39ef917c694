"""Where profiles lie: the packaged ones, and the folders of the user that ``STILLHOUSE_PROFILES_PATH`` names.

The variable lists, by commas, directories and ``s3://`` prefixes. Each holds one folder for each profile. What lies on S3 is copied
to this machine, at most once in ``MIRRORED_EVERY_S``, so that a DAG file or a task which reads a profile does not wait for S3.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import yaml

from stillhouse.errors import BadConfig, StillhouseError
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line

VARIABLE = "STILLHOUSE_PROFILES_PATH"
FILE = "profile.yaml"
MIRRORED_EVERY_S = 30.0
MARKER = ".mirrored"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def folders(packaged: Path) -> dict[str, Path]:
    """Every profile by name -> its folder. Of two folders with one name the first counts; ``problems`` names the other."""
    found: dict[str, Path] = {}
    for root in (packaged, *_roots().values()):
        for folder in _folders_in(root):
            found.setdefault(folder.name, folder)
    return found


def problems(packaged: Path) -> list[str]:
    """What is wrong with the listed places themselves: one that is not there, and a name that is used twice."""
    roots, taken = {"packaged": packaged, **_roots()}, dict[str, Path]()
    wrong = [f"{VARIABLE}: {name} is not a directory of profiles that can be read" for name in listed() if name not in roots]
    for root in roots.values():
        for folder in _folders_in(root):
            if (first := taken.setdefault(folder.name, folder)) != folder:
                wrong.append(f"profile {folder.name} lies in {first} and in {folder}: rename one of the two folders")
    return wrong


def ignored(folder: Path) -> list[str]:
    """Files of a folder that look like recipes and are none."""
    wrong = [path for path in folder.glob("*.[yY]*") if path.suffix.lower() == ".yml" or path.is_dir()]
    return [f"{path}: a recipe is a file whose name ends in .yaml; rename it" for path in sorted(wrong)]


def listed() -> list[str]:
    """The entries of ``STILLHOUSE_PROFILES_PATH``."""
    return [entry.strip() for entry in environment.text(VARIABLE).split(",") if entry.strip()]


def recipe_files(folder: Path, known: dict[str, Path]) -> dict[str, Path]:
    """The recipes of a folder by stem, those of the profiles it is ``like`` included. Raises BadConfig for a circle."""
    own: dict[str, Path] = {}
    left_out: set[str] = set()
    chain = [folder]
    while True:
        for path in sorted(chain[-1].glob("*.yaml")):
            if path.name != FILE and path.stem not in left_out and not path.is_dir():
                own.setdefault(path.stem, path)
        left_out |= set(_taken(chain[-1])[1])
        parent = known.get(_taken(chain[-1])[0])
        if parent is None:
            return own
        if parent in chain:
            msg = f"profile {' is like '.join(path.name for path in [*chain, parent])}: end the circle in one {FILE}"
            raise BadConfig(msg)
        chain.append(parent)


def _taken(folder: Path) -> tuple[str, tuple[str, ...]]:
    """The profile whose recipes a folder takes where it has none of its own, and the recipes it does not take."""
    path = folder / FILE
    return _like(path, path.stat().st_mtime_ns) if path.is_file() else ("", ())


@lru_cache(maxsize=1024)
def _like(path: Path, _: int) -> tuple[str, tuple[str, ...]]:
    """What the file says, read once as long as it does not change."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "", ()  # whoever loads the profile itself is told what is wrong
    like, without = (values.get(name) for name in ("like", "without")) if isinstance(values, dict) else (None, None)
    return like if isinstance(like, str) else "", tuple(map(str, without)) if isinstance(without, list) else ()


def _folders_in(root: Path) -> list[Path]:
    return sorted(
        path for path in root.iterdir() if path.is_dir() and (any(path.glob("*.yaml")) or (path / "profile.yml").exists())
    )


def _roots() -> dict[str, Path]:
    """The user's places that can be read: entry -> directory."""
    local = {entry: _local(entry) for entry in listed()}
    return {entry: root for entry, root in local.items() if root is not None}


def _local(root: str) -> Path | None:
    """The directory of a root; an ``s3://`` prefix is mirrored. None if it cannot be read."""
    if root.startswith("s3://"):
        try:
            return _mirrored(root)
        except StillhouseError as error:
            print(f"{VARIABLE}: {root}: {one_line(error)}", flush=True)
            return None
    directory = Path(root.removeprefix("file://")).expanduser()
    return directory if os.access(directory, os.R_OK | os.X_OK) and directory.is_dir() else None


def _mirrored(root: str) -> Path:
    """A copy of an S3 prefix in the directory for temporary files, refreshed if it is old."""
    digest = hashlib.sha256(root.encode()).hexdigest()[:16]
    mirror = Path(tempfile.gettempdir()) / f"stillhouse-profiles-{os.getuid()}" / digest
    marker = mirror / MARKER
    last = Path(json.loads(marker.read_text(encoding="utf-8"))) if marker.is_file() else None
    if last and last.is_dir() and time.time() - marker.stat().st_mtime < MIRRORED_EVERY_S:
        return last
    from stillhouse.artifacts import store  # here: no other profile needs a store

    remote = store.store_of(root)
    names = sorted(name for name in remote.names(root) if name.endswith(".yaml") and name.count("/") == 1)
    mirror.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy = remote.fetch(root, mirror, names)
    unfinished = copy / MARKER
    unfinished.write_text(json.dumps(str(copy)), encoding="utf-8")
    unfinished.replace(marker)
    for old in mirror.iterdir():
        if old.is_dir() and old not in {copy, last}:  # another process may be reading the last one
            shutil.rmtree(old, ignore_errors=True)
    return copy
