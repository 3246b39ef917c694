"""Artifacts by URI: ``file://`` in ``file_store.py``, ``s3://`` in ``s3.py``.

A URI names a directory of files. Credentials and endpoints come from the environment alone (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, …), so they never reach a config or a fingerprint.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from stillhouse.artifacts.file_store import FileStore, local_path
from stillhouse.artifacts.storage import AlreadyThere, Store
from stillhouse.errors import BadConfig

__all__ = ["AlreadyThere", "FileStore", "Store", "absolute", "artifact_name", "join", "local_path", "store_of"]
SCHEMES = ("file", "s3")
_ONE_SLASH = re.compile(r"(?P<scheme>file|s3):", re.IGNORECASE)
"""A URI that lost a slash, as ``Path("s3://…")`` does: as a path it would name a directory of this machine called ``s3:``."""


def absolute(uri: str) -> str:
    """The URI in full: a plain path becomes ``file://``; one spelling for each path; no trailing slash.

    Raises BadConfig for another scheme, ``#``, ``?``, ``..``, an empty segment, a control character or a lost slash.
    """
    if not uri.isprintable():
        msg = f"{uri!r}: a URI with a control character; write file://, s3:// or a plain path"
        raise BadConfig(msg)
    if "://" not in uri:
        if short := _ONE_SLASH.match(uri):
            msg = f"{uri}: {short[0]} lost its two slashes; write {short['scheme'].lower()}://, or ./{uri} for a directory"
            raise BadConfig(msg)
        return Path(os.path.abspath(os.path.expanduser(uri))).as_uri()  # noqa: PTH100, PTH111  # ~nobody is a name like others
    scheme = uri.partition("://")[0]
    if scheme not in SCHEMES:
        msg = f"{uri}: no store for {scheme}://; use file://, s3:// or a plain path"
        raise BadConfig(msg)
    _check_segments(uri, scheme)
    return local_path(uri).as_uri() if scheme == "file" else uri.rstrip("/")


def _check_segments(uri: str, scheme: str) -> None:
    """Raise BadConfig for a URI that a store would not read as it is written."""
    if sign := next((sign for sign in "#?" if sign in uri), None):
        msg = f"{uri}: a URI with {sign!r}, which is cut off there; choose a name without it"
        raise BadConfig(msg)
    host, _, path = uri.partition("://")[2].rstrip("/").partition("/")
    if scheme == "file" and host not in {"", "localhost"}:
        msg = f"{uri}: files of the host {host} cannot be reached; write file:///PATH, with three slashes"
        raise BadConfig(msg)
    try:
        plain = unquote(path, errors="strict") if scheme == "file" else path
    except UnicodeDecodeError as error:
        msg = f"{uri}: its %-signs stand for bytes that are no UTF-8; choose a name in UTF-8"
        raise BadConfig(msg) from error
    if plain and (not plain.isprintable() or any(segment in {"", ".", ".."} for segment in plain.split("/"))):
        msg = f"{uri}: a URI with an empty, '.' or '..' segment or a control character; write the path in full"
        raise BadConfig(msg)


def store_of(uri: str) -> Store:
    """The store that serves the URI."""
    if absolute(uri).startswith("s3://"):
        from stillhouse.artifacts.s3 import S3Store

        return S3Store()
    return FileStore()


def join(uri: str, *names: str) -> str:
    """The URI of something below a directory URI."""
    return "/".join((uri.rstrip("/"), *names))


def artifact_name(uri: str) -> str:
    """``laptop-anneal`` of ``…/sft/laptop-anneal/demo``."""
    return uri.split("/")[-2]
