"""Read samples of several files, as WebDataset keeps them: files of one stem are one row, in a folder or in a tar file.

``000001.json`` gives its keys as columns, ``000001.txt`` a column ``txt``, ``000001.cls`` a column ``cls``; ``__key__`` is the
stem.
"""

import json
import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from stillhouse.exchange.bad_rows import Bad, Object


def tar_rows(path: Path, max_bytes: int) -> Iterator[tuple[int, Object | Bad]]:
    """The samples of a tar file, plain or compressed, in its order."""
    with tarfile.open(path) as tar:
        yield from enumerate(_samples(_members(tar, max_bytes), max_bytes), start=1)


def folder_rows(directory: Path, max_bytes: int) -> Iterator[tuple[int, Object | Bad]]:
    """The samples of a folder, in the order of their names; a folder of folders has one sample in each."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))
    names = ((path.relative_to(directory).as_posix(), path) for path in paths)
    pieces = ((name, path.read_bytes() if path.stat().st_size <= max_bytes else None) for name, path in names)
    yield from enumerate(_samples(pieces, max_bytes), start=1)


def is_sample_folder(directory: Path) -> bool:
    """Whether the folder holds samples of several files: stems with more than one extension, or folders with one sample each."""
    stems = [name_and_column(path.relative_to(directory).as_posix()) for path in sorted(directory.rglob("*")) if path.is_file()]
    keys = {key for key, _ in stems}
    return 0 < len(keys) < len(stems)


def name_and_column(name: str) -> tuple[str, str]:
    """``a/000001.txt`` -> (``a/000001``, ``txt``); in a folder of its own, ``0000/question.txt`` -> (``0000``, ``question``)."""
    path = PurePosixPath(name)
    stem, dot, extension = path.name.partition(".")
    if any(character.isdigit() for character in stem) or path.parent == PurePosixPath():
        return (path.parent / stem).as_posix(), extension if dot else stem
    return path.parent.as_posix(), stem


def _members(tar: tarfile.TarFile, max_bytes: int) -> Iterator[tuple[str, bytes | None]]:
    for member in tar:
        if member.isfile() and (file := tar.extractfile(member)) is not None:
            yield member.name, file.read() if member.size <= max_bytes else None


def _samples(files: Iterable[tuple[str, bytes | None]], max_bytes: int) -> Iterator[Object | Bad]:
    """One row for each run of files of one key."""
    for key, group in groupby(files, key=lambda file: name_and_column(file[0])[0]):
        yield _sample(key, list(group), max_bytes)


def _sample(key: str, files: list[tuple[str, bytes | None]], max_bytes: int) -> Object | Bad:
    row: Object = {"__key__": key}
    for name, data in files:
        if data is None:
            return Bad("bad_line_length", f"{name}: more than {max_bytes:,} bytes", key)
        try:
            row |= _columns(name, data)
        except ValueError as error:
            return Bad("bad_utf8" if isinstance(error, UnicodeDecodeError) else "bad_json", f"{name}: {error}", key)
    return row


def _columns(name: str, data: bytes) -> dict[str, Any]:
    """A file's columns: the keys of a JSON object, or one text or value under the file's column."""
    column = name_and_column(name)[1]
    if not name.endswith(".json"):
        return {column: data.decode()}
    value = json.loads(data)
    return value if isinstance(value, dict) else {column: value}
