"""Names of files in an artifact: which ones may be joined to a directory, and the names under which parts are stored.

A part is stored as ``part-00005.{attempt}-{digest}.parquet``: the attempt that wrote it, and the first 16 hex digits of its sha256.
So no writer can change what another one published, and a later attempt can check a part before it takes it over.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote

from stillhouse.errors import DamagedArtifact

_TAGGED = re.compile(r"(?P<stem>.+)\.(?P<attempt>[0-9a-f]{8})-(?P<digest>[0-9a-f]{16})(?P<suffix>\.\w+)?")
_DRIVE = re.compile(r"[A-Za-z]:")
_BELOW = re.compile(r"(?P<version>.+)/(?P<below>(?:shards|maps)/\d+-of-\d+|(?:read|combined)/of-\d+)")
"""The URI of a shard, or of an intermediate step, of a version."""


def tagged(name: str, attempt: str, sha256: str) -> str:
    """The stored name of a file that this attempt wrote."""
    path = PurePosixPath(name)
    return path.with_name(f"{path.stem}.{attempt}-{sha256[:16]}{path.suffix}").as_posix()


def untagged(stored: str) -> tuple[str, str, str] | None:
    """The name, the attempt and the digest's beginning behind a stored name; None if it carries no attempt."""
    path = PurePosixPath(stored)
    match = _TAGGED.fullmatch(path.name)
    if match is None:
        return None
    return path.with_name(f"{match['stem']}{match['suffix'] or ''}").as_posix(), match["attempt"], match["digest"]


def split_shard(uri: str) -> tuple[str, str]:
    """The URI of the version, and the path below it (``shards/3-of-16``); empty for the version itself."""
    match = _BELOW.fullmatch(uri)
    return (match["version"], match["below"]) if match else (uri, "")


def stage_root(uri: str) -> str:
    """``{root}/{stage}`` of the URI of a version or of one of its shards."""
    return split_shard(uri)[0].rsplit("/", 2)[0]


def version_of(uri: str) -> str:
    """``NAME/VERSION`` of the URI of a version or of one of its shards."""
    return "/".join(split_shard(uri)[0].rsplit("/", 2)[1:])


def check_version(version: str, uri: str) -> None:
    """Raise DamagedArtifact unless the text is ``NAME/VERSION``, which cannot lead out of the stage's directory."""
    segments = [unquote(segment) for segment in version.split("/")]
    if len(segments) != 2 or any(_problem(segment) or set(segment) & set("#?%/") for segment in segments):
        msg = f"{uri}: its manifest points to {version!r}, which is not NAME/VERSION; nothing was read: make the artifact again"
        raise DamagedArtifact(msg)


def check_identity(texts: Iterable[str], uri: str) -> None:
    """Raise DamagedArtifact if one of the texts that stand for an artifact, such as its fingerprint, is of more than one line."""
    if bad := next((text for text in texts if not text.isprintable()), None):
        msg = f"{uri}: its manifest holds {bad!r}, with a control character; nothing was read: make the artifact again"
        raise DamagedArtifact(msg)


def check(names: Iterable[str], uri: str) -> None:
    """Raise DamagedArtifact if joining one of the names to a directory could leave it, or could overwrite another name's file."""
    files: dict[str, str] = {}
    for name in names:
        if problem := _problem(name):
            msg = f"{uri}: a file is called {name!r}, {problem}; nothing was read: ask whoever made the artifact for a sound one"
            raise DamagedArtifact(msg)
        key = _folded(name)
        if key in files:
            msg = f"{uri}: {files[key]!r} and {name!r} are one file on some disks; nothing was read: make the artifact again"
            raise DamagedArtifact(msg)
        files[key] = name
    for key, name in files.items():
        above = next((parent for parent in map(str, PurePosixPath(key).parents) if parent in files), None)
        if above is not None:
            msg = f"{uri}: {files[above]!r} is a file and the directory of {name!r}; nothing was read: make the artifact again"
            raise DamagedArtifact(msg)


def _problem(name: str) -> str | None:
    """What is wrong with the name on its own; None if nothing."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        return "with a control character"
    if "\\" in name or _DRIVE.match(name):
        return "which is a Windows path"
    if any(segment in {"", ".", ".."} for segment in name.split("/")):
        return "which leaves the artifact's directory"
    return None


def _folded(name: str) -> str:
    """A key that is equal for names which a disk that ignores case or Unicode form would confuse."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
