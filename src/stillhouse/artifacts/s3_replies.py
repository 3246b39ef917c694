"""What S3 replies: which errors may pass, which are refusals, which are not S3's at all, and how they are told."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from stillhouse.errors import StillhouseError, StoreFailed, StoreRefused

REFUSED, REFUSED_BY_ANY = {400, 404, 405, 410, 411, 414, 416}, {401, 403, 413}
"""Statuses of errors that a repeated request would get again: if S3 gives them a code of its own, and whoever gives them."""
LATER = {
    "ExpiredToken", "NoSuchKey", "NoSuchUpload", "QuotaExceeded", "RequestTimeTooSkewed", "TokenRefreshRequired",
    "XMinioAdminBucketQuotaExceeded",
}  # fmt: skip
"""Codes with such a status that a later run may not get: somebody has to do something first."""
PASSING = {
    "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout",
    "ServiceUnavailable", "SlowDown", "TemporaryRedirect", "XAmzContentSHA256Mismatch",
}  # fmt: skip
"""Codes that the same request may not get a moment later; among them those of a body that was damaged on its way."""
REFUSING = {
    "AccessDenied", "AuthorizationHeaderMalformed", "MethodNotAllowed", "NoSuchBucket", "NotImplemented", "PermanentRedirect",
}  # fmt: skip
"""Codes that are refusals whatever the status: some servers send them with 200, 301 or 500."""
SIGNS = {
    "GetObject": "ETag", "HeadObject": "ETag", "PutObject": "ETag", "UploadPart": "ETag", "CompleteMultipartUpload": "ETag",
    "CreateMultipartUpload": "UploadId", "ListObjectsV2": "IsTruncated", "ListMultipartUploads": "Bucket",
}  # fmt: skip
"""What S3's reply to a request always carries, and a proxy's, whatever its status, does not."""
ADVICE = {
    "RequestTimeTooSkewed": "this machine's clock and the store's differ: set them by NTP",
    "ExpiredToken": "get new credentials, then run the same command again",
    "NotImplemented": "the store has to know If-None-Match on PUT, as AWS, MinIO and SeaweedFS do: use another one",
}
"""What to do next, by error code; for others, see ``failed``."""
ABSENT, NOT_AS_EXPECTED = {"NoSuchKey"}, {"PreconditionFailed", "412"}


def failed(uri: str, error: Exception) -> StillhouseError:
    """The error to raise: StoreRefused or StoreFailed, naming the URI and the endpoint; StoreFailed for a full disk here.

    Raises the error itself if it comes neither from S3 nor from its client.
    """
    if isinstance(error, OSError):
        return StoreFailed(f"{uri}: {error.strerror or error}; check that the scratch directory has room")
    if not type(error).__module__.startswith(("botocore", "boto3", "s3transfer", "urllib3")) and type(error) is not RecursionError:
        raise error
    endpoint, reason = os.environ.get("AWS_ENDPOINT_URL", "AWS"), str(error).replace(" (reached max retries: 0)", "")
    if not code(error) and _status(error):
        reason = f"status {_status(error)}, without an error of S3's: something between here and the store answers in its place"
    advice = ADVICE.get(code(error), "check AWS_ENDPOINT_URL, the credentials and the bucket")
    return (StoreRefused if _is_refusal(error) else StoreFailed)(f"{uri}: {reason} (endpoint {endpoint}); {advice}")


def require_reply(parsed: Mapping[str, Any], http_response: Any, model: Any, **_: Any) -> None:
    """Raise an error that may pass if a success is not S3's: a proxy's page, or the empty reply of something that is not S3."""
    from botocore.parsers import ResponseParserError

    if http_response.status_code >= 300:
        return
    sign, headers = SIGNS.get(model.name), http_response.headers
    kind = headers.get("Content-Type", "no content type")
    if model.name == "DeleteObject":
        is_ours = http_response.status_code == 204 or "x-amz-request-id" in headers
    else:
        is_page = sign == "ETag" and kind.startswith("text/html") and not urlsplit(http_response.url).path.endswith(".html")
        is_ours = (sign is None or sign in parsed) and not is_page
    if not is_ours:
        lacks = sign or "status 204"
        msg = f"the reply is not S3's ({kind}, no {lacks}): something between here and the store answers in its place"
        raise ResponseParserError(msg)


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, SSLError
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.parsers import ResponseParserError
    from s3transfer.exceptions import RetriesExceededError
    from urllib3.exceptions import HTTPError

    if isinstance(error, ClientError):
        if code(error) in PASSING or _is_foreign(error):
            return True
        return code(error) not in REFUSING and (_status(error) in {307, 408, 409, 425, 429} or _status(error) >= 500)
    # RecursionError: botocore asks a server that redirects HEAD for the bucket's region, by HEAD, without an end.
    passing = (
        NoConnection, HTTPClientError, IncompleteReadError, ResponseParserError, RetriesExceededError, HTTPError, RecursionError,
    )  # fmt: skip
    return isinstance(error, passing) and not isinstance(error, SSLError)


def _is_refusal(error: Exception) -> bool:
    from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError, PartialCredentialsError, SSLError

    if isinstance(error, ClientError):
        refused = _status(error) in REFUSED_BY_ANY or (_status(error) in REFUSED and not _is_without_code(error))
        return code(error) in REFUSING or (refused and code(error) not in LATER)
    return isinstance(error, NoCredentialsError | PartialCredentialsError | ParamValidationError | SSLError)


def _is_foreign(error: Any) -> bool:
    """Whether a proxy or the gateway of a cluster answered. To HEAD, S3 itself sends no code either, but never as text."""
    if not _is_without_code(error) or _status(error) in {*REFUSED_BY_ANY, 412}:
        return False
    kind = str(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", ""))
    return error.operation_name != "HeadObject" or 300 < _status(error) < 400 or kind.startswith(("text/", "application/json"))


def _is_without_code(error: Any) -> bool:
    """Whether an error has its status in place of a code of S3's, or a piece of a page."""
    return code(error) in {"", str(_status(error))} or not code(error).isalnum()


def _status(error: Any) -> int:
    return int(getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code(error: Any) -> str:
    """S3's code of an error; empty for other errors."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
