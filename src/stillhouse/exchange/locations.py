"""Where rows lie -> local files: a file, a folder, a glob, ``s3://``, ``hf://datasets/…`` or standard input.

The files of a folder or a glob are read in the order of their names.
"""

import fnmatch
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as digest_of
from pathlib import Path
from urllib.parse import unquote

from stillhouse.artifacts import store
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.exchange import archives
from stillhouse.exchange.config import HUB_PATH, Format
from stillhouse.exchange.files import PEEKED_BYTES, check_name, format_of_name, is_archive, magic_format, refuse_no_file
from stillhouse.exchange.sample_files import is_sample_folder
from stillhouse.vocabulary.masking import one_line

STDIN = "-"
GLOB = re.compile(r"[*?\[]")
NOT_ROWS = re.compile(r"(^|/)([._].*|dataset_info\.json|dataset_infos\.json|dataset_dict\.json|state\.json|manifest\.json)$")
"""Files beside rows that hold none."""
SPLIT = re.compile(r"(^|[^a-z0-9])(?P<split>train|test|validation|valid|val|dev)(?=[^a-z0-9])(?=.*\.\w+$)", re.IGNORECASE)
"""A split in the name of a file, or of its folder, as ``datasets`` looks for it."""


@dataclass(frozen=True)
class FileOfRows:
    """One local file, or a folder of samples, and the name it is known by."""

    name: str
    path: Path
    form: Format | None = None
    """Its format; None if its suffix tells it."""


@contextmanager
def fetched(location: str, form: Format | None = None) -> Iterator[list[FileOfRows]]:
    """The files at a location, on this machine. Raises BadConfig for a name that tells no format, MissingInput without a file."""
    with scratch_directory() as scratch:
        if location == STDIN:
            files = [_from_stdin(scratch, form)]
        elif location.startswith("hf://"):
            files = _from_hub(location)
        elif store.absolute(_plain(location)).startswith("s3://"):
            files = _from_s3(location, form, scratch)
        else:
            files = _local(location, form)
        files = [inner for number, file in enumerate(files) for inner in _unpacked(file, scratch / f"unpacked-{number}")]
        if not files:
            msg = f"{location}: no file of rows there; give a file, folder or pattern with .jsonl, .json, .csv, .parquet …"
            raise MissingInput(msg)
        yield [FileOfRows(file.name, file.path, form or file.form) for file in files]


def digest(files: Sequence[FileOfRows]) -> str:
    """The sha256 of one file, or of the names and digests of several."""
    paths = [path for file in files for path in ([file.path] if file.path.is_file() else sorted(file.path.rglob("*")))]
    paths = [path for path in paths if path.is_file()]
    if len(paths) == 1:
        return sha256(paths[0])
    return digest_of("".join(f"{path.name}\0{sha256(path)}\n" for path in paths).encode()).hexdigest()


def _unpacked(file: FileOfRows, target: Path) -> list[FileOfRows]:
    """The files of rows that an archive holds; any other file as it is."""
    if file.form or not archives.holds_files(file.path):
        return [file]
    archives.unpack(file.path, target)
    return _folder(target, None)


def _plain(location: str) -> str:
    """The location up to its first sign of a pattern, which no URI may hold."""
    return GLOB.split(location)[0] or "."


def _local(location: str, form: Format | None) -> list[FileOfRows]:
    if "://" in location:
        location = unquote(location.removeprefix("file://").removeprefix("localhost"))
    path = Path(location).expanduser()
    if GLOB.search(location) and not path.exists():
        root, pattern = _root_and_pattern(path)
        return _of_names({file.relative_to(root).as_posix(): file for file in root.glob(pattern) if file.is_file()}, form)
    if path.is_dir():
        return _folder(path, form)
    refuse_no_file(path, location)
    if form is None:
        check_name(location)
    return [FileOfRows(path.name, path)]


def _root_and_pattern(path: Path) -> tuple[Path, str]:
    parts = path.parts
    first = next(number for number, part in enumerate(parts) if GLOB.search(part))
    return Path(*parts[:first]), "/".join(parts[first:])


def _folder(path: Path, form: Format | None) -> list[FileOfRows]:
    names = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    _refuse_several_splits(path.name, names)
    tables = {name for name in names if not NOT_ROWS.search(name) and format_of_name(name) not in {None, "json"}}
    if form == "samples" or (not tables and is_sample_folder(path)):
        return [FileOfRows(path.name, path, "samples")]
    return _of_names(names, form)


def _refuse_several_splits(name: str, paths: Iterable[str]) -> None:
    """Raise BadConfig for a folder whose files are of several splits: its test split is no training data."""
    splits = {match["split"].lower() for path in paths if not NOT_ROWS.search(path) and (match := SPLIT.search(path))}
    if len(splits) > 1:
        msg = (
            f"{name}: holds several splits ({', '.join(sorted(splits))}); give a pattern, such as {name}/*train*, or the folder of "
            "one split, or kind: huggingface with dataset and split"
        )
        raise BadConfig(msg)


def _of_names(paths: dict[str, Path], form: Format | None) -> list[FileOfRows]:
    """The files that hold rows, in the order of their names. If there are others than .json, a .json beside them is no data."""
    names = sorted(name for name in paths if not NOT_ROWS.search(name) and (form or format_of_name(name) or is_archive(name)))
    tables = [name for name in names if format_of_name(name) != "json"]
    return [FileOfRows(name, paths[name]) for name in (names if form else tables or names)]


def _from_s3(location: str, form: Format | None, scratch: Path) -> list[FileOfRows]:
    """A file, the files below a prefix, or those that match a pattern."""
    plain = _plain(location)
    at = store.store_of(plain)
    if plain == location and at.holds(store.absolute(location)):
        if form is None:
            check_name(location)
        directory, _, name = store.absolute(location).rpartition("/")
        return [FileOfRows(name, at.fetch(directory, scratch, [name]) / name)]
    root = plain.rstrip("/") if plain == location or plain.endswith("/") else plain.rpartition("/")[0]
    pattern = location[len(root) + 1 :] if plain != location else "*"
    names = [name for name in at.names(root) if fnmatch.fnmatchcase(name, pattern)]
    wanted = [file.name for file in _of_names({name: Path(name) for name in names}, form)]
    if not wanted:
        return []
    directory_on_disk = at.fetch(root, scratch, wanted)
    return [FileOfRows(name, directory_on_disk / name) for name in wanted]


def _from_stdin(scratch: Path, form: Format | None) -> FileOfRows:
    path = scratch / "stdin"
    with path.open("wb") as file:
        while chunk := sys.stdin.buffer.read(PEEKED_BYTES):
            file.write(chunk)
    if form is None:
        with path.open("rb") as file:
            form = magic_format(file.read(PEEKED_BYTES))
    if form is None:
        msg = "standard input: the format cannot be told from its beginning; set format to jsonl, json, csv, parquet or arrow"
        raise BadConfig(msg)
    return FileOfRows("stdin", path, form)


def _from_hub(location: str) -> list[FileOfRows]:
    """The files of ``hf://datasets/ORG/NAME@REVISION/PATTERN``; they stay in the hub's cache."""
    match = HUB_PATH.fullmatch(location)
    if match is None or not match["path"]:
        msg = (
            f"{location}: not of the form hf://datasets/ORG/NAME@REVISION/FILE, where FILE may be a folder or a pattern; "
            "for a whole split use kind: huggingface"
        )
        raise BadConfig(msg)
    repository, revision, pattern = match["repository"], match["revision"], match["path"]
    import huggingface_hub  # takes a second

    try:
        listed = huggingface_hub.HfApi().list_repo_files(repository, revision=revision, repo_type="dataset")
        names = [name for name in listed if fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern.rstrip('/')}/")]
        wanted = _of_names({name: Path(name) for name in names}, None)
        return [
            FileOfRows(name, Path(huggingface_hub.hf_hub_download(repository, name, revision=revision, repo_type="dataset")))
            for name in (file.name for file in wanted)
        ]
    except Exception as error:
        msg = f"{location}: the hub cannot be read ({one_line(error)}); check name, revision, HF_TOKEN and network"
        raise MissingInput(msg) from error
