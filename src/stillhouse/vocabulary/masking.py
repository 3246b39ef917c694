"""Secrets and control characters are taken out of text before it reaches a terminal, a log, a tag or an alert."""

import os
import re
import unicodedata
from collections.abc import Mapping

MASK = "***"
SHORTEST_SECRET = 6
"""Characters. The value of a variable that is shorter is too common a string to be replaced wherever it occurs."""

_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|WEBHOOK)S?$", re.IGNORECASE)
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # The user information of a URL may itself hold an @: everything up to the last one before the path goes.
        (r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/?#'\"<>]+@", rf"\g<scheme>{MASK}@"),
        (r"(?P<header>\bauthorization['\"]?\s*[:=]\s*['\"]?)(?:(?:basic|bearer|token)\s+)?[^\s'\",;}]+", rf"\g<header>{MASK}"),
        (r"(?P<word>\bbearer\s+)(?!token\b|auth)[a-z0-9._~+/=-]{6,}", rf"\g<word>{MASK}"),
        (r"(?P<word>\bbasic\s+)(?=[a-z0-9+/]*[0-9=])[a-z0-9+/]{8,}={0,2}", rf"\g<word>{MASK}"),
        (r"\b(?P<kind>sk|pk|rk)-[a-z0-9_-]{6,}", rf"\g<kind>-{MASK}"),
        (r"(?-i:\bhf_[A-Za-z0-9]{6,})", f"hf_{MASK}"),  # not HF_ENDPOINT
        (r"\bgh[pousr]_[a-z0-9]{16,}", f"gh_{MASK}"),
        (r"(?-i:\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b)", f"AKIA{MASK}"),
        (r"(?P<name>\b(?:x-amz-(?:signature|credential|security-token)|aws_secret_access_key)['\"]?\s*[=:]\s*['\"]?)[^\s&'\"]+",
         rf"\g<name>{MASK}"),
        (r"(?P<name>[?&](?:token|key|api_key|apikey|password|secret|sig|signature|access_token)=)[^\s&'\"]+", rf"\g<name>{MASK}"),
    )
)  # fmt: skip
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Cs"}
"""Unicode categories of controls (C0, C1), format characters (bidi, zero width), line separators and lone surrogates."""
_JOINERS = {"\u200c", "\u200d"}
"""Format characters that words of some languages and many emoji are written with; they move no text."""


def masked(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text without credentials.

    Replaces user information in URLs, Authorization headers, bearer and basic tokens, keys in the form of OpenAI's, Hugging Face's,
    GitHub's and AWS's, signed URL parameters, and the value of every environment variable whose name ends in KEY, TOKEN, SECRET
    or PASSWORD.
    """
    for value in _secret_values(os.environ if environment is None else environment):
        text = text.replace(value, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with every control character in its escaped form, ``\x1b`` for an escape.

    That covers C0 and C1 controls, bidirectional controls, zero-width characters and line separators. Characters in ``keep``, such
    as a newline, stay as they are.
    """
    return "".join(map(_escaped, text)) if not keep else "".join(char if char in keep else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if char in _JOINERS or unicodedata.category(char) not in _INVISIBLE:
        return char
    return char.encode("unicode_escape").decode("ascii")


def _secret_values(environment: Mapping[str, str]) -> list[str]:
    """The values to hide, the longest first: one may be part of another. A variable may list several by commas."""
    secrets = {name: value for name, value in environment.items() if _SECRET_NAME.search(name) and not _names_a_file(value)}
    parts = {part.strip() for value in secrets.values() for part in (value, *value.split(","))}
    return sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True)


def _names_a_file(value: str) -> bool:
    """Some variables of these names, such as ``SSH_KEY``, hold a path; hiding it would make errors useless."""
    return value.startswith("/") and len(value) < 256 and " " not in value and os.path.exists(value)  # noqa: PTH110


def one_line(error: BaseException) -> str:
    """The error's message on one line, for terminals, termination logs and Airflow: without secrets or control characters."""
    return printable(masked(" ".join(str(error).split()))) or type(error).__name__
