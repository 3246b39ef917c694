r"""A math answer against its reference: 1 if they are equal, else 0 (DeepDistill §2.4.1, first stage).

Plain answers are decided at once by ``exact``, the rest by math-verify in a worker. The order matters to it: the reference comes
first. Its own time limits are signals, which fail outside the main thread and miss what runs in C: they are switched off, the
pool's deadline stands in for them.
"""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from stillhouse.verification.exact import equivalence, extraction, parsing
from stillhouse.verification.verdict import DETAIL_CHARS, Request, Verdict, unanswered

METHOD, EXACT = "math-verify", "exact"
EMPTY_BOX = "\\boxed{}"

TAIL_CHARS = 1000
"""How much of an answer is read where no box stands before it: the result stands at the end."""
BEFORE_BOX_CHARS = 200
"""What is kept before the last box: boxes near to it belong to the same answer."""
LONGEST_CHARS = 20_000
"""A formula longer than this is none that a person would give."""

_DELIMITED = re.compile(r"(?<!\\)\$|\\boxed|\\\(|\\\[")


def warm() -> None:
    """Do the imports, and what they put off to the first call, before any deadline runs."""
    from math_verify import verify as equal

    equal(_parse("$x^2 + (1, 2)$"), _parse("\\boxed{\\frac{1}{2}}"), timeout_seconds=None)


def settled(request: Request) -> Verdict | None:
    """The verdict on what needs no computer algebra, at once; None for the rest."""
    if (nothing := unanswered(request, EXACT)) is not None:
        return nothing
    answer, reference = tail(request.answer or ""), (request.reference or "").strip()
    if not reference:
        return Verdict("error", None, EXACT, "the question has no reference answer")
    if len(answer) > LONGEST_CHARS:
        return Verdict("malformed", 0.0, EXACT, f"over {LONGEST_CHARS:,} characters from the last box on: no formula is as long")
    if answer.strip() == EMPTY_BOX:
        return Verdict("malformed", 0.0, EXACT, "an empty box")
    equal = _decided(reference, answer)
    if equal is None:
        return None
    return Verdict("correct", 1.0, EXACT) if equal else Verdict("wrong", 0.0, EXACT, _difference(answer, reference))


def trimmed(request: Request) -> Request:
    """What a worker is sent: the tail, and no prompt."""
    return replace(request, answer=tail(request.answer or ""), prompt=None, test_cases=None, constraints=None)


def verify(request: Request) -> Verdict:
    """The verdict by math-verify. Runs as long as it runs: only to be called where it can be killed."""
    if (quick := settled(request)) is not None:
        return quick
    answer, reference = tail(request.answer or ""), str(request.reference).strip()
    gold = list(_reference(reference))
    try:
        found = _parse(answer)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the parser trips over, the answer is what it cannot read
        return Verdict("malformed", 0.0, METHOD, f"{type(error).__name__} on {answer[-DETAIL_CHARS // 2 :]!r}"[:DETAIL_CHARS])
    if not found:
        return Verdict("malformed", 0.0, METHOD, f"no mathematics in {answer[-DETAIL_CHARS // 2 :]!r}"[:DETAIL_CHARS])
    return _compared(gold, found, answer, reference)


def _compared(gold: list[Any], found: list[Any], answer: str, reference: str) -> Verdict:
    """math-verify's verdict on what it has read; where it read nothing but text, that is only equal to the same text."""
    from math_verify import verify as equal

    if equal(gold, found, timeout_seconds=None, raise_on_error=True):
        return Verdict("correct", 1.0, METHOD)
    if all(isinstance(each, str) for each in gold):
        return Verdict("error", None, METHOD, f"the reference is no mathematics: {reference!r}"[:DETAIL_CHARS])
    if all(isinstance(each, str) for each in found):
        return Verdict("malformed", 0.0, METHOD, f"cannot be read: {found[0]!r}"[:DETAIL_CHARS])
    return Verdict("wrong", 0.0, METHOD, _difference(answer, reference))


def tail(answer: str) -> str:
    """The end of an answer, from before its last box, or from a line's start among the last ``TAIL_CHARS`` characters."""
    start = len(answer) - TAIL_CHARS
    if start <= 0:
        return answer
    box = answer.rfind("\\boxed")
    if box >= 0:
        end = len(answer)
        if end - box > LONGEST_CHARS:
            # What follows at such length is no part of the answer; a box without an end is left as long as it is.
            closed = extraction.closing_brace(answer[box : box + LONGEST_CHARS], len(EMPTY_BOX) - 2)
            end = end if closed is None else box + closed + 1
        return answer[max(0, min(start, box - BEFORE_BOX_CHARS)) : end]
    line = answer.find("\n", start)
    # A formula between dollars ends with its line: cut inside one, every dollar after it would be taken for its opposite.
    return answer[line + 1 if 0 <= line < len(answer.rstrip()) else start :]


def boxed(reference: str) -> str:
    """A reference in a box: outside of delimiters math-verify finds no LaTeX at all."""
    return reference if _DELIMITED.search(reference) else f"\\boxed{{{reference}}}"


def formula_text(reference: str) -> str:
    """The formula of a reference without what delimits it, where that can be told."""
    found = _formula_of_reference(reference)
    return found.text if found else reference


@lru_cache(maxsize=4096)
def _formula_of_reference(reference: str) -> extraction.Formula | None:
    found = extraction.formula(boxed(reference))
    return found if found is not None and found.latex else None


def _decided(reference: str, answer: str) -> bool | None:
    """Whether they are equal, where that is certain."""
    gold, found = _formula_of_reference(reference), extraction.formula(answer)
    if gold is None or found is None:
        return None
    return _identical(gold, found) or _equal(gold, found)


def _identical(gold: extraction.Formula, found: extraction.Formula) -> bool:
    """Equal texts are equal to math-verify, whatever they mean: it compares what it could not read as text."""
    return found.latex and gold.text == found.text and any(each.isdigit() for each in gold.text)


def _equal(gold: extraction.Formula, found: extraction.Formula) -> bool | None:
    expected = _value(gold.text)
    if expected is None:
        return None
    value = parsing.read(found.text) if found.latex else parsing.read_bare(found.text)
    return None if value is None else equivalence.equal(expected, value)


@lru_cache(maxsize=4096)
def _value(text: str) -> parsing.Value | None:
    return parsing.read(text)


def _difference(answer: str, reference: str) -> str:
    return f"got {answer[-DETAIL_CHARS // 3 :]!r}, reference {reference[: DETAIL_CHARS // 3]!r}"


@lru_cache(maxsize=256)
def _reference(text: str) -> tuple[Any, ...]:
    """The reference parsed: the responses to one question come one after another."""
    return tuple(_parse(boxed(text)) or _parse(text))


def _parse(text: str) -> list[Any]:
    from math_verify import parse

    found: list[Any] = parse(text, parsing_timeout=None, raise_on_error=True)
    return found
