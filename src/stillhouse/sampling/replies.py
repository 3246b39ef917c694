"""Replies and connection errors of an OpenAI-compatible endpoint -> a completion, or a failure of a named kind."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from stillhouse.errors import EngineFailed
from stillhouse.sampling.engine import Completion
from stillhouse.vocabulary.masking import masked, one_line, printable
from stillhouse.vocabulary.text import shortened
from stillhouse.vocabulary.transcript import THINK, joined

BUSY = ("rate_limited", "unavailable", "unreachable")
"""The endpoint accepts nothing at the moment. This says nothing about the request, which waits until the endpoint is back."""
DOUBTFUL = ("server_error", "timeout", "disconnected", "bad_json", "empty_choices")
"""The endpoint's fault or the request's: tried again a bounded number of times."""
FINAL = ("context_overflow", "bad_request", "filtered")
"""The request's fault: every further try would fail in the same way."""
KINDS = (*BUSY, *DOUBTFUL, *FINAL)

_OVERFLOW = ("context_length_exceeded", "maximum context length", "context length of", "context window", "max_model_len")
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class Failure:
    """One try without a completion. ``kind`` is one of KINDS."""

    kind: str
    detail: str
    retry_after_s: float | None = None
    """How long the endpoint asks to wait."""


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Completion | Failure:
    """The reply to a chat completion. Raises EngineFailed if every request would fail: a refused key, an unknown model."""
    if status == 200:
        return _read_success(body)
    detail = f"HTTP {status}: {_message(body)}"
    if status in {401, 403, 404}:
        hint = "check the model's name and the URL in STILLHOUSE_ENDPOINTS" if status == 404 else "check STILLHOUSE_API_KEY"
        msg = f"{detail}; {hint}"
        raise EngineFailed(msg)
    if status == 429:
        return Failure("rate_limited", detail, retry_after_s(headers.get("retry-after")))
    if status in {502, 503, 504}:
        return Failure("unavailable", detail, retry_after_s(headers.get("retry-after")))
    if status >= 500 or status == 408:
        return Failure("server_error" if status >= 500 else "timeout", detail)
    return Failure(refusal_kind(detail), detail)


def refusal_kind(message: str) -> str:
    """Whether a refused request did not fit the model's context, or was wrong in another way."""
    return "context_overflow" if any(sign in message for sign in _OVERFLOW) else "bad_request"


def read_error(error: Exception) -> Failure:
    """The failure for an exception of httpx, or a TimeoutError. Anything else is raised again: it is a bug."""
    detail = f"{type(error).__name__}: {one_line(error)}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return Failure("unreachable", detail)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return Failure("timeout", detail)
    if isinstance(error, httpx.TransportError | httpx.DecodingError):
        return Failure("disconnected", detail)
    raise error


def retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date (RFC 9110 §10.2.3); None if it is neither."""
    if value is None:
        return None
    if re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", value.strip()):
        return max(0.0, float(value))
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _read_success(body: bytes) -> Completion | Failure:
    try:
        reply = json.loads(body)
    except ValueError as error:
        return Failure("bad_json", f"{one_line(error)} in {_shown(body)}")
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        return Failure("empty_choices", f"no choice in {_shown(body)}")
    reason = choices[0].get("finish_reason")
    text = _text(choices[0].get("message"), is_cut=reason == "length")
    if reason not in {"stop", "length"}:
        kind = "filtered" if reason == "content_filter" else "empty_choices"
        return Failure(kind, f"finish_reason {reason!r} in {_shown(body)}")
    if text is None:
        return Failure("empty_choices", f"no content in {_shown(body)}")
    usage: dict[str, Any] = reply.get("usage") or {}
    return Completion(text, reason, int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))


def _text(message: Any, *, is_cut: bool) -> str | None:
    """The message's text. Thinking in a field of its own (``reasoning_content``, or ``reasoning``) is put back into its tags.

    A response that ``is_cut`` before its answer began was cut in its thinking, which is then not closed.
    """
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if thinking and isinstance(thinking, str) and THINK not in (content or ""):  # some proxies repeat it in the content
        return joined(thinking, content or "", closed=bool(content) or not is_cut)
    return content if isinstance(content, str) else None


def _message(body: bytes) -> str:
    """The message in an error's JSON, in any of the common forms; else the body itself. Servers echo keys: they are masked."""
    try:
        reply = json.loads(body)
    except ValueError:
        return _shown(body)
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    if isinstance(error, dict):
        parts = [str(error[name]) for name in ("code", "message", "detail") if error.get(name)]
        return shortened(printable(masked(" ".join(" ".join(parts).split()))), 2 * _SHOWN_CHARS) or _shown(body)
    return _shown(body)


def _shown(body: bytes) -> str:
    text = printable(masked(" ".join(body.decode("utf-8", "replace").split())))
    return repr(shortened(text, _SHOWN_CHARS))
