"""Artifacts by URI: ``file://`` and ``s3://``. The only module that imports boto3.

A URI names a directory of files. Credentials and endpoints come from the environment alone (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, …), so they never reach a config or a fingerprint.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from stillhouse.errors import BadConfig, StoreFailed


class AlreadyThere(Exception):
    """A conditional write found that the file exists: another writer was first."""


class Store(Protocol):
    """One kind of storage. ``uri`` arguments name a file, or a directory where said."""

    def read(self, uri: str) -> bytes | None:
        """The file's bytes, None if there is no such file."""

    def write(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write whole or not at all. Raises AlreadyThere if it exists and ``only_if_absent``."""

    def upload(self, path: Path, uri: str) -> None:
        """Copy a local file to ``uri``, whole or not at all."""

    def fetch(self, uri: str, scratch: Path, names: Sequence[str] | None = None) -> Path:
        """A local directory with these files under the directory ``uri``, or with all of them; not to be written to."""

    def names(self, uri: str) -> list[str]:
        """The files under the directory ``uri``, as sorted relative paths; empty if there is none."""

    def remove(self, uri: str) -> None:
        """Delete one file; nothing happens if it is not there."""


def absolute(uri: str) -> str:
    """The URI in full: a plain path becomes ``file://``; no trailing slash. Raises BadConfig on another scheme."""
    scheme = urlsplit(uri).scheme
    if not scheme:
        return Path(uri).expanduser().absolute().as_uri()
    if scheme not in STORES:
        msg = f"{uri}: no store for {scheme}://; use file://, s3:// or a plain path"
        raise BadConfig(msg)
    return uri.rstrip("/")


def store_of(uri: str) -> Store:
    """The store that serves the URI."""
    return STORES[urlsplit(absolute(uri)).scheme]


def join(uri: str, *names: str) -> str:
    """The URI of something below a directory URI."""
    return "/".join((uri.rstrip("/"), *names))


def artifact_name(uri: str) -> str:
    """``laptop-anneal`` of ``…/sft/laptop-anneal/demo``."""
    return uri.split("/")[-2]


def local_path(uri: str) -> Path:
    """The path a ``file://`` URI names."""
    return Path(unquote(urlsplit(uri).path))


class FileStore:
    """Directories of this machine."""

    def read(self, uri: str) -> bytes | None:
        """See Store."""
        with _translated(uri):
            try:
                return local_path(uri).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """See Store. A link to a finished temporary file makes the write whole and the condition atomic."""
        target = local_path(uri)
        with _translated(uri), _unfinished(target) as unfinished:
            unfinished.write_bytes(data)
            if only_if_absent:
                try:
                    os.link(unfinished, target)
                except FileExistsError as error:
                    raise AlreadyThere(uri) from error
            else:
                unfinished.rename(target)

    def upload(self, path: Path, uri: str) -> None:
        """See Store. Scratch on the same disk is linked, not copied."""
        target = local_path(uri)
        with _translated(uri), _unfinished(target) as unfinished:
            unfinished.unlink()
            try:
                os.link(path, unfinished)
            except OSError:
                shutil.copyfile(path, unfinished)
            unfinished.rename(target)

    def fetch(self, uri: str, scratch: Path, names: Sequence[str] | None = None) -> Path:
        """See Store. Nothing is copied: links in a fresh directory below ``scratch``."""
        source, directory = local_path(uri), _fresh(scratch)
        with _translated(uri):
            for name in self.names(uri) if names is None else names:
                target = directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source / name)
        return directory

    def names(self, uri: str) -> list[str]:
        """See Store."""
        root = local_path(uri)
        with _translated(uri):
            found = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith(_UNFINISHED))
            return sorted(path.relative_to(root).as_posix() for path in found)

    def remove(self, uri: str) -> None:
        """See Store."""
        with _translated(uri):
            local_path(uri).unlink(missing_ok=True)


class S3Store:
    """Any S3-compatible object store that honours ``If-None-Match`` on PUT."""

    def read(self, uri: str) -> bytes | None:
        """See Store."""
        bucket, key = _bucket_and_key(uri)
        with _translated(uri):
            try:
                body: bytes = _s3().get_object(Bucket=bucket, Key=key)["Body"].read()
            except _s3().exceptions.NoSuchKey:
                return None
            return body

    def write(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """See Store."""
        from botocore.exceptions import ClientError

        bucket, key = _bucket_and_key(uri)
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        with _translated(uri):
            try:
                _s3().put_object(Bucket=bucket, Key=key, Body=data, **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict"}:
                    raise AlreadyThere(uri) from error
                raise

    def upload(self, path: Path, uri: str) -> None:
        """See Store. Large files go in parts."""
        bucket, key = _bucket_and_key(uri)
        with _translated(uri):
            _s3().upload_file(str(path), bucket, key)

    def fetch(self, uri: str, scratch: Path, names: Sequence[str] | None = None) -> Path:
        """See Store. Downloads into a fresh directory below ``scratch``."""
        bucket, key = _bucket_and_key(uri)
        directory = _fresh(scratch)
        with _translated(uri):
            for name in self.names(uri) if names is None else names:
                target = directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _s3().download_file(bucket, f"{key}/{name}", str(target))
        return directory

    def names(self, uri: str) -> list[str]:
        """See Store."""
        bucket, key = _bucket_and_key(uri)
        with _translated(uri):
            pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/")
            found = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return sorted(name.removeprefix(f"{key}/") for name in found)

    def remove(self, uri: str) -> None:
        """See Store."""
        bucket, key = _bucket_and_key(uri)
        with _translated(uri):
            _s3().delete_object(Bucket=bucket, Key=key)


STORES: dict[str, Store] = {"file": FileStore(), "s3": S3Store()}
_UNFINISHED = ".unfinished"


def _fresh(scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=scratch))


def _bucket_and_key(uri: str) -> tuple[str, str]:
    parsed = urlsplit(uri)
    if not parsed.netloc or not parsed.path.strip("/"):
        msg = f"{uri}: not a place for an artifact; write s3://BUCKET/STAGE/NAME/VERSION"
        raise BadConfig(msg)
    return parsed.netloc, parsed.path.strip("/")


@cache
def _s3() -> Any:
    import boto3
    from botocore.config import Config

    # Checksums only where required: several S3-compatible servers do not know the newer trailing checksums.
    settings = Config(
        signature_version="s3v4",
        retries={"max_attempts": 5, "mode": "standard"},
        connect_timeout=10,
        request_checksum_calculation="when_required",
    )
    # A session of its own: the default one keeps the first credentials it saw.
    return boto3.Session().client("s3", config=settings, region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A temporary file beside ``target`` that never outlives the block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=_UNFINISHED)
    os.fchmod(handle, 0o644)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn what the operating system or S3 refuses into a StoreFailed that names the URI."""
    try:
        yield
    except (AlreadyThere, StoreFailed):
        raise
    except OSError as error:
        msg = f"{uri}: {error.strerror or error}; check that the path is writable and the disk has room"
        raise StoreFailed(msg) from error
    except Exception as error:
        if not type(error).__module__.startswith(("botocore", "boto3", "s3transfer")):
            raise
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "AWS")
        msg = f"{uri}: {error} (endpoint {endpoint}); check AWS_ENDPOINT_URL, the credentials and the bucket"
        raise StoreFailed(msg) from error
