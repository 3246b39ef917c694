"""Artifacts on S3. The only module that imports boto3."""

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from stillhouse.artifacts import s3_replies
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.outages import patiently
from stillhouse.artifacts.s3_replies import ABSENT, NOT_AS_EXPECTED, code
from stillhouse.artifacts.storage import AlreadyThere, Store, numbered
from stillhouse.errors import BadConfig, StillhouseError

T = TypeVar("T")

SINGLE_BYTES = 16 * 2**20
"""Larger files are uploaded in pieces of at least this size."""
MOST_PIECES, SENDERS, CONNECTIONS = 9000, 4, 32


class S3Store(Store):
    """Any S3-compatible object store that honours ``If-None-Match`` on PUT."""

    def read(self, uri: str) -> bytes | None:
        """See Store."""
        return _call(uri, partial(_get, *_bucket_and_key(uri)))

    def versions(self, uri: str) -> list[int]:
        """See Store."""
        return numbered(_keys(uri, "."), _bucket_and_key(uri)[1])

    def write(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """See Store."""
        _put(uri, data, {"IfNoneMatch": "*"} if only_if_absent else {})

    def upload(self, path: Path, uri: str, *, only_if_absent: bool = False) -> None:
        """See Store. Large files go in pieces, several at a time."""
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        if path.stat().st_size <= SINGLE_BYTES:
            _put(uri, path.read_bytes(), condition)
        else:
            _upload_in_pieces(path, uri, condition)

    def download(self, uri: str, name: str, target: Path) -> str:
        """See Store. The digest is computed beside the transfer, which uses several connections for a large file."""
        bucket, key = _bucket_and_key(f"{uri}/{name}")  # together: a file may lie at the root of its bucket
        target.parent.mkdir(parents=True, exist_ok=True)

        def receive() -> str:
            with _Digesting(target) as sink:
                _s3().download_fileobj(bucket, key, sink)
            return sink.sha256.hexdigest()

        return _call(f"{uri}/{name}", receive)

    def names(self, uri: str) -> list[str]:
        """See Store."""
        key = urlsplit(uri).path.strip("/")  # empty for the files at the root of a bucket
        return sorted({name.removeprefix(f"{key}/") for name in _keys(uri, "/")})

    def folders(self, uri: str) -> list[str]:
        """See Store. The server skips what lies below them."""
        return sorted(
            entry["Prefix"].rstrip("/").rpartition("/")[2] for entry in _listed(uri, "/", "CommonPrefixes", Delimiter="/")
        )

    def stamps(self, uri: str) -> dict[str, tuple[int, str]]:
        """See Store."""
        key = _bucket_and_key(uri)[1]
        return {entry["Key"].removeprefix(f"{key}/"): (int(entry["Size"]), str(entry["ETag"])) for entry in _entries(uri, "/")}

    def holds(self, uri: str) -> bool:
        """See Store."""
        return _bucket_and_key(uri)[1] in _keys(uri, "")

    def remove(self, uri: str) -> None:
        """See Store."""
        bucket, key = _bucket_and_key(uri)
        _call(uri, lambda: _s3().delete_object(Bucket=bucket, Key=key))

    def tidy(self, uri: str) -> None:
        """See Store. Here: uploads in pieces that nobody completes, for which S3 charges. Not every server lists them.

        Where it fails, the next attempt or the bucket's lifecycle rule does it.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        bucket, key = _bucket_and_key(uri)
        try:
            uploads = _s3().list_multipart_uploads(Bucket=bucket, Prefix=f"{key}/").get("Uploads", ())
            for upload in uploads:
                if upload["Key"].startswith(f"{key}/"):
                    _s3().abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        except (BotoCoreError, ClientError, ResponseParserError):
            return


class _Digesting:
    """A file that is written in order only, and digested as it is written."""

    def __init__(self, path: Path) -> None:
        self.sha256 = hashlib.sha256()
        self._file = path.open("wb")

    def __enter__(self) -> "_Digesting":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        """Take the next bytes."""
        self.sha256.update(data)
        return self._file.write(data)


def _get(bucket: str, key: str) -> bytes | None:
    from botocore.exceptions import ClientError

    try:
        return bytes(_s3().get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if code(error) in ABSENT:
            return None
        raise


def _keys(uri: str, end: str) -> list[str]:
    """The keys that begin with the URI's and ``end``."""
    return [entry["Key"] for entry in _entries(uri, end)]


def _entries(uri: str, end: str) -> list[Any]:
    """What S3 says of the objects whose keys begin with the URI's and ``end``, such as ``Size`` and ``ETag``."""
    return _listed(uri, end, "Contents")


def _listed(uri: str, end: str, part: str, **options: str) -> list[Any]:
    """One part of all pages of a listing of what begins with the URI and ``end``."""
    parsed = urlsplit(uri)
    prefix = f"{parsed.path.strip('/')}{end}".removeprefix("/")

    def listed() -> list[Any]:
        pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=parsed.netloc, Prefix=prefix, **options)
        return [entry for page in pages for entry in page.get(part, ())]

    return _call(uri, listed)


def _put(uri: str, data: bytes, condition: Mapping[str, str]) -> None:
    """PUT the bytes. Raises AlreadyThere if the condition does not hold and other bytes lie there."""
    from botocore.exceptions import ClientError

    bucket, key = _bucket_and_key(uri)

    def put() -> None:
        try:
            _s3().put_object(Bucket=bucket, Key=key, Body=data, **condition)
        except ClientError as error:
            if code(error) not in NOT_AS_EXPECTED:
                raise
            if _get(bucket, key) != data:  # else this PUT had succeeded, and only its reply was lost
                raise AlreadyThere(uri) from error

    _call(uri, put)


def _upload_in_pieces(path: Path, uri: str, condition: Mapping[str, str]) -> None:
    """Upload a large file. Raises AlreadyThere if the condition does not hold and another file lies there."""
    bucket, key = _bucket_and_key(uri)
    size = path.stat().st_size
    piece = max(SINGLE_BYTES, -(-size // MOST_PIECES))
    upload_id = _call(uri, lambda: _s3().create_multipart_upload(Bucket=bucket, Key=key)["UploadId"])
    upload = {"Bucket": bucket, "Key": key, "UploadId": upload_id}

    def send(number: int) -> dict[str, Any]:
        with path.open("rb") as file:
            file.seek((number - 1) * piece)
            body = file.read(piece)
        return {"PartNumber": number, "ETag": _call(uri, lambda: _s3().upload_part(**upload, PartNumber=number, Body=body)["ETag"])}

    try:
        with ThreadPoolExecutor(SENDERS) as pool:
            pieces = list(pool.map(send, range(1, -(-size // piece) + 1)))
        _call(uri, partial(_complete, path, uri, upload, pieces, condition))
    except BaseException:
        _abort(upload)
        raise


def _complete(
    path: Path, uri: str, upload: Mapping[str, str], pieces: list[dict[str, Any]], condition: Mapping[str, str]
) -> None:  # fmt: skip
    from botocore.exceptions import ClientError

    try:
        _s3().complete_multipart_upload(**upload, MultipartUpload={"Parts": pieces}, **condition)
    except ClientError as error:
        if code(error) not in NOT_AS_EXPECTED | {"NoSuchUpload"}:
            raise
        if _holds(upload["Bucket"], upload["Key"], path):
            return
        if code(error) in NOT_AS_EXPECTED:
            raise AlreadyThere(uri) from error
        raise  # another attempt aborted this upload


def _holds(bucket: str, key: str, path: Path) -> bool:
    """Whether the object has the content of the local file: then an upload succeeded, and only its reply was lost."""
    from botocore.exceptions import ClientError

    try:
        reply = _s3().get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code(error) in ABSENT:
            return False
        raise
    remote = hashlib.sha256()
    for chunk in reply["Body"].iter_chunks(2**20):
        remote.update(chunk)
    return remote.hexdigest() == sha256(path)


def _abort(upload: Mapping[str, str]) -> None:
    """Abort a multipart upload. If that fails, the next attempt's ``tidy`` or the bucket's lifecycle rule does it."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        _s3().abort_multipart_upload(**upload)
    except (BotoCoreError, ClientError, ResponseParserError):
        return


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
    # One try each: ``patiently`` repeats requests, and it knows a lost reply from another writer's success.
    settings = Config(
        signature_version="s3v4", retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=10,
        request_checksum_calculation="when_required", max_pool_connections=CONNECTIONS,
    )  # fmt: skip
    # A session of its own: the default one keeps the first credentials it saw.
    client = boto3.Session().client("s3", config=settings, region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
    client.meta.events.register("after-call.s3", s3_replies.require_reply)
    return client


def _call(uri: str, request: Callable[[], T]) -> T:
    """The request's result, patiently. Raises StoreRefused or StoreFailed, naming the URI and the endpoint."""
    try:
        return patiently(uri, request, s3_replies.may_pass)
    except (AlreadyThere, StillhouseError):
        raise
    except Exception as error:
        raise s3_replies.failed(uri, error) from error
