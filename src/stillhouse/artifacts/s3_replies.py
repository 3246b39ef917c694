"""What S3 replies: which errors may pass, which are refusals, which are not S3's at all, and how they are told."""

import os
from collections.abc import Mapping
from typing import Any

from stillhouse.errors import StillhouseError, StoreFailed, StoreRefused

REFUSALS = {
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "AuthorizationHeaderMalformed", "InvalidAccessKeyId",
    "InvalidBucketName", "InvalidRequest", "MethodNotAllowed", "NoSuchBucket", "PermanentRedirect", "SignatureDoesNotMatch",
    "401", "403",
}  # fmt: skip
"""Error codes that a repeated request would get again."""
PASSING = {
    "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown",
    "TemporaryRedirect",
}  # fmt: skip
ADVICE = {
    "RequestTimeTooSkewed": "this machine's clock and the store's differ: set them by NTP",
    "ExpiredToken": "get new credentials, then run the same command again",
}
"""What to do next, by error code; for others, see ``failed``."""
ABSENT, NOT_AS_EXPECTED = {"NoSuchKey", "404"}, {"PreconditionFailed", "412"}


def failed(uri: str, error: Exception) -> StillhouseError:
    """The error to raise: StoreRefused or StoreFailed, naming the URI and the endpoint; StoreFailed for a full disk here.

    Raises the error itself if it comes neither from S3 nor from its client.
    """
    if isinstance(error, OSError):
        return StoreFailed(f"{uri}: {error.strerror or error}; check that the scratch directory has room")
    if not type(error).__module__.startswith(("botocore", "boto3", "s3transfer", "urllib3")):
        raise error
    endpoint, reason = os.environ.get("AWS_ENDPOINT_URL", "AWS"), str(error).replace(" (reached max retries: 0)", "")
    advice = ADVICE.get(code(error), "check AWS_ENDPOINT_URL, the credentials and the bucket")
    return (StoreRefused if _is_refusal(error) else StoreFailed)(f"{uri}: {reason} (endpoint {endpoint}); {advice}")


def require_object(parsed: Mapping[str, Any], http_response: Any, **_: Any) -> None:
    """Raise an error that may pass if a reply is not S3's: an object always comes with an ETag, a proxy's page never does."""
    from botocore.parsers import ResponseParserError

    if http_response.status_code < 300 and "ETag" not in parsed:
        kind = http_response.headers.get("Content-Type", "no content type")
        msg = f"the reply is no object ({kind}, no ETag): something between here and the store answers in its place"
        raise ResponseParserError(msg)


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, SSLError
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.parsers import ResponseParserError
    from s3transfer.exceptions import RetriesExceededError
    from urllib3.exceptions import HTTPError

    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code(error) in PASSING or status in {307, 408, 409, 429} or status >= 500
    passing = (NoConnection, HTTPClientError, IncompleteReadError, ResponseParserError, RetriesExceededError, HTTPError)
    return isinstance(error, passing) and not isinstance(error, SSLError)


def _is_refusal(error: Exception) -> bool:
    from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError, PartialCredentialsError, SSLError

    if isinstance(error, ClientError):
        return code(error) in REFUSALS
    return isinstance(error, NoCredentialsError | PartialCredentialsError | ParamValidationError | SSLError)


def code(error: Any) -> str:
    """S3's code of an error; empty for other errors."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
