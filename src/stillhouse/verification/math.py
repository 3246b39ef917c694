"""A math answer against its reference, by math-verify: 1 if they are equal, else 0 (DeepDistill §2.4.1, first stage).

The order matters to math-verify: the reference comes first. Its own time limits are signals, which fail outside the main thread
and miss what runs in C: they are switched off, the pool's deadline stands in for them.
"""

import re
from typing import Any

from stillhouse.verification.verdict import DETAIL_CHARS, Request, Verdict

METHOD, PLAIN = "math-verify", "integers"

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
_PLAIN_ANSWER = re.compile(rf"({_INTEGER.pattern})|\\boxed\{{({_INTEGER.pattern})\}}")


def warm() -> None:
    """Do the imports, before any deadline runs."""
    import math_verify  # noqa: F401


def settled(request: Request) -> Verdict | None:
    """The verdict on what needs no mathematics, at once; None for the rest.

    That is: no answer, and an integer (bare or boxed, nothing else) against an integer, where math-verify says the same.
    """
    answer = (request.answer or "").strip()
    if request.finish_reason == "error":
        return Verdict("error", None, PLAIN, "the engine failed on this response")
    if not answer:
        return Verdict("truncated" if request.finish_reason == "length" else "no_answer", 0.0, PLAIN)
    reference, found = (request.reference or "").strip(), _PLAIN_ANSWER.fullmatch(answer)
    if not reference:
        return Verdict("error", None, PLAIN, "the question has no reference answer")
    if not found or not _INTEGER.fullmatch(reference):
        return None
    equal = int(found[1] or found[2]) == int(reference)
    return Verdict("correct", 1.0, PLAIN) if equal else Verdict("wrong", 0.0, PLAIN, _difference(found[1] or found[2], reference))


def verify(request: Request) -> Verdict:
    """The verdict by math-verify. Runs as long as it runs: only to be called where it can be killed."""
    quick = settled(request)
    if quick is not None:
        return quick
    answer, reference = str(request.answer), str(request.reference)
    gold = _reference(reference)
    if not gold:
        return Verdict("error", None, METHOD, f"the reference is no mathematics: {reference!r}"[:DETAIL_CHARS])
    try:
        found = _parse(answer)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the parser trips over, the answer is what it cannot read
        return Verdict("malformed", 0.0, METHOD, f"{type(error).__name__} on {answer!r}"[:DETAIL_CHARS])
    if not found:
        return Verdict("malformed", 0.0, METHOD, f"no mathematics in {answer!r}"[:DETAIL_CHARS])
    from math_verify import verify as equal

    if equal(gold, found, timeout_seconds=None, raise_on_error=True):
        return Verdict("correct", 1.0, METHOD)
    return Verdict("wrong", 0.0, METHOD, _difference(answer, reference))


def _difference(answer: str, reference: str) -> str:
    return f"got {answer[: DETAIL_CHARS // 3]!r}, reference {reference[: DETAIL_CHARS // 3]!r}"


def _reference(text: str) -> list[Any]:
    """The reference parsed. Bare LaTeX is boxed first: outside an environment math-verify finds no LaTeX at all."""
    if "$" in text or "\\boxed" in text or "\\(" in text or "\\[" in text:
        return _parse(text)
    return _parse(f"\\boxed{{{text}}}") or _parse(text)


def _parse(text: str) -> list[Any]:
    from math_verify import parse

    found: list[Any] = parse(text, parsing_timeout=None, raise_on_error=True)
    return found
