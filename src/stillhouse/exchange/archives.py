"""Archives of files of rows: zip files, and tar files that hold tables and not samples."""

import tarfile
import zipfile
from pathlib import Path

from stillhouse.errors import BadRows
from stillhouse.exchange.files import format_of_name, is_archive
from stillhouse.exchange.line_files import FREE_BYTES, MAX_EXPANSION


def holds_files(path: Path) -> bool:
    """Whether a local file is an archive whose members are files of rows; a tar file of samples is read as it is."""
    if is_archive(path.name):
        return True
    if format_of_name(path.name) != "samples" or not path.is_file():
        return False
    try:
        with tarfile.open(path) as tar:
            first = next((member for member in tar if member.isfile()), None)
    except (tarfile.TarError, OSError):
        return False  # the reader of samples says why
    return first is not None and format_of_name(first.name) not in {None, "json", "samples"}


def unpack(path: Path, target: Path) -> None:
    """Write the files of an archive below ``target``. Raises BadRows if it is damaged, encrypted or far too large."""
    target.mkdir(parents=True)
    try:
        if is_archive(path.name):
            with zipfile.ZipFile(path) as archive:
                _require_rows(path, sum(member.file_size for member in archive.infolist()))
                archive.extractall(target)
        else:
            with tarfile.open(path) as tar:
                members = tar.getmembers()
                _require_rows(path, sum(member.size for member in members))
                tar.extractall(target, members, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, RuntimeError, NotImplementedError, EOFError) as error:
        # RuntimeError: it is encrypted.
        msg = f"{path.name}: cannot be unpacked ({error}); unpack it yourself, and give the folder"
        raise BadRows(msg) from error


def _require_rows(path: Path, expanded: int) -> None:
    if expanded > FREE_BYTES and expanded > MAX_EXPANSION * path.stat().st_size:
        msg = f"{path.name}: would expand to {expanded:,} bytes, more than {MAX_EXPANSION} times its size: no archive of rows does"
        raise BadRows(msg)
