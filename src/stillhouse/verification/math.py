r"""A math answer against its reference: 1 if they are equal, else 0 (DeepDistill §2.4.1, first stage).

Plain answers take the fast path: ``exact`` decides them at once. The rest go to math-verify in a worker. math-verify expects the
reference first. Its own time limits are signals, which fail outside the main thread and cannot interrupt C code: they are switched
off, and the pool's deadline replaces them.
"""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import math_verify

from stillhouse.verification.exact import equivalence, extraction, parsing
from stillhouse.verification.verdict import DETAIL_CHARS, Verdict, VerificationRequest, unanswered
from stillhouse.verification.verifier import KnownAnswer, Verifier
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.text import ending, shortened

METHOD, EXACT = "math-verify", "exact"
EMPTY_BOX = "\\boxed{}"

TAIL_CHARS = 1000
"""Characters read at the end of an answer, where the result is, if no box comes earlier."""
BEFORE_BOX_CHARS = 200
"""Characters kept before the last box: boxes close to it belong to the same answer."""
LONGEST_CHARS = 20_000
"""No person would write a longer formula."""

_DELIMITED = re.compile(r"(?<!\\)\$|\\boxed|\\\(|\\\[")


class MathVerifier(Verifier):
    """Compares formulas: by ``exact`` if they are plain, by math-verify if not."""

    method = EXACT

    def warm(self) -> None:
        """See Verifier: math-verify defers part of its loading to its first call."""
        math_verify.verify(_parse("$x^2 + (1, 2)$"), _parse("\\boxed{\\frac{1}{2}}"), timeout_seconds=None)

    def fast_path(self, request: VerificationRequest) -> Verdict | None:
        """See Verifier: the verdict if it needs no computer algebra."""
        if (verdict := unanswered(request, EXACT)) is not None:
            return verdict
        answer, reference = tail(request.answer or ""), (request.reference or "").strip()
        if not reference:
            return Verdict("error", None, EXACT, "the question has no reference answer")
        if len(answer) > LONGEST_CHARS:
            detail = f"over {LONGEST_CHARS:,} characters from the last box on: too long for a formula"
            return Verdict("malformed", 0.0, EXACT, detail)
        if answer.strip() == EMPTY_BOX:
            return Verdict("malformed", 0.0, EXACT, "an empty box")
        is_equal = _decided(reference, answer)
        if is_equal is None:
            return None
        return Verdict("correct", 1.0, EXACT) if is_equal else Verdict("wrong", 0.0, EXACT, _difference(answer, reference))

    def trimmed(self, request: VerificationRequest) -> VerificationRequest:
        """See Verifier: the tail of the answer and the reference, nothing else."""
        return replace(request, answer=tail(request.answer or ""), prompt=None, test_cases=None, constraints=None, messages=())

    def verify(self, request: VerificationRequest) -> Verdict:
        """The verdict by math-verify. It has no time limit: call it only in a process that can be killed."""
        if (verdict := self.fast_path(request)) is not None:
            return verdict
        answer, reference = tail(request.answer or ""), str(request.reference).strip()
        gold = list(_reference(reference))
        shown = repr(ending(answer, DETAIL_CHARS // 2))
        try:
            parsed = _parse(answer)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the parser raises, it cannot read this answer
            return Verdict("malformed", 0.0, METHOD, f"{type(error).__name__} on {shown}")
        if not parsed:
            return Verdict("malformed", 0.0, METHOD, f"no mathematics in {shown}")
        return _compared(gold, parsed, answer, reference)

    def known_answers(self, question: Question) -> list[KnownAnswer]:
        """See Verifier: the reference, an empty box, and a perturbed reference."""
        reference = (question.reference_answer or "").strip()
        perturbed = f"\\boxed{{{_perturbed(formula_text(reference))}}}"
        return [
            KnownAnswer("the reference", boxed(reference), passes=True), KnownAnswer("an empty box", EMPTY_BOX, passes=False),
            KnownAnswer("a perturbed reference", perturbed, passes=False),
        ]  # fmt: skip


def _perturbed(formula: str) -> str:
    """A three before the first digit: 5 becomes 35, (1, 2) becomes (31, 2); before the whole formula if it has no digit."""
    changed = re.sub(r"[0-9]", lambda digit: f"3{digit[0]}", formula, count=1)
    return changed if changed != formula else f"3{formula}"


def _compared(gold: list[Any], parsed: list[Any], answer: str, reference: str) -> Verdict:
    """math-verify's verdict on two parsed texts; if it could parse neither formula nor number, only equal texts are equal."""
    if math_verify.verify(gold, parsed, timeout_seconds=None, raise_on_error=True):
        return Verdict("correct", 1.0, METHOD)
    if all(isinstance(part, str) for part in gold):
        return Verdict("error", None, METHOD, f"the reference is not mathematics: {reference!r}")
    if all(isinstance(part, str) for part in parsed):
        return Verdict("malformed", 0.0, METHOD, f"cannot be read: {parsed[0]!r}")
    return Verdict("wrong", 0.0, METHOD, _difference(answer, reference))


def tail(answer: str) -> str:
    """The end of an answer: from before its last box, or from the start of a line within the last ``TAIL_CHARS`` characters."""
    start = len(answer) - TAIL_CHARS
    if start <= 0:
        return answer
    box = answer.rfind("\\boxed")
    if box >= 0:
        end = len(answer)
        if end - box > LONGEST_CHARS:
            # Text that goes on for so long is not part of the answer; an unclosed box keeps its length.
            closed = extraction.closing_brace(answer[box : box + LONGEST_CHARS], len(EMPTY_BOX) - 2)
            end = end if closed is None else box + closed + 1
        return answer[max(0, min(start, box - BEFORE_BOX_CHARS)) : end]
    line = answer.find("\n", start)
    # A formula between dollars ends with its line: after a cut inside one, every closing dollar would be taken for an opening one.
    return answer[line + 1 if 0 <= line < len(answer.rstrip()) else start :]


def boxed(reference: str) -> str:
    """A reference in a box: math-verify finds no LaTeX outside delimiters."""
    return reference if _DELIMITED.search(reference) else f"\\boxed{{{reference}}}"


def formula_text(reference: str) -> str:
    """The formula of a reference without its delimiters; the whole reference if they cannot be told apart."""
    formula = _formula_of_reference(reference)
    return formula.text if formula else reference


@lru_cache(maxsize=4096)
def _formula_of_reference(reference: str) -> extraction.Formula | None:
    formula = extraction.formula(boxed(reference))
    return formula if formula is not None and formula.latex else None


def _decided(reference: str, answer: str) -> bool | None:
    """Whether they are equal; None if that is not certain."""
    gold, formula = _formula_of_reference(reference), extraction.formula(answer)
    if gold is None or formula is None:
        return None
    return _identical(gold, formula) or _equal(gold, formula)


def _identical(gold: extraction.Formula, formula: extraction.Formula) -> bool:
    """math-verify finds equal texts equal, whatever they mean: it compares as text what it cannot parse."""
    return formula.latex and gold.text == formula.text and any(character.isdigit() for character in gold.text)


def _equal(gold: extraction.Formula, formula: extraction.Formula) -> bool | None:
    expected = _value(gold.text)
    if expected is None:
        return None
    value = parsing.read(formula.text) if formula.latex else parsing.read_bare(formula.text)
    return None if value is None else equivalence.equal(expected, value)


@lru_cache(maxsize=4096)
def _value(text: str) -> parsing.Value | None:
    return parsing.read(text)


def _difference(answer: str, reference: str) -> str:
    return f"got {ending(answer, DETAIL_CHARS // 3)!r}, reference {shortened(reference, DETAIL_CHARS // 3)!r}"


@lru_cache(maxsize=256)
def _reference(text: str) -> tuple[Any, ...]:
    """The parsed reference; cached, since the responses to one question come one after another."""
    return tuple(_parse(boxed(text)) or _parse(text))


def _parse(text: str) -> list[Any]:
    parsed: list[Any] = math_verify.parse(text, parsing_timeout=None, raise_on_error=True)
    return parsed
