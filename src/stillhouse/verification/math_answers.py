"""An answer's text against a reference: which formula is the answer, and whether it is right."""

import re
from dataclasses import dataclass
from typing import Literal

from stillhouse.verification import calculus_statements, choices
from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact import equivalence, extraction, formulas, phrases, relations
from stillhouse.verification.exact.answer_rules import EXACT_RULES
from stillhouse.verification.exact.extraction import Candidate
from stillhouse.verification.exact.high_precision import Undefined
from stillhouse.verification.exact.lexing import Unreadable, Unreasonable
from stillhouse.verification.exact.numerals import is_decimal_comma
from stillhouse.verification.exact.plain_forms import plain, same_plain
from stillhouse.verification.exact.renaming import called_as
from stillhouse.verification.exact.spelling import readings
from stillhouse.verification.exact.values import Listing, Quantity, Value, Words
from stillhouse.verification.math_references import Reference, evaluate, identity, numerals, read_reference, undelimited

Finding = Literal["correct", "wrong", "malformed", "no_rule", "calculus"]

_NEGATION = re.compile(r"\b(?:not|never|no|neither|nor|isn't|doesn't|cannot|can't|n't)\b|不|没", re.IGNORECASE)
_STATES = re.compile(r"\s*(?:is|are|has|have|was|were|had|will|can|must|wins|gets|takes|does)\b|\s*[.!]?$", re.IGNORECASE)

_VERDICTS = frozenset({"yes", "no"})
"""Answers that a whole sentence may follow: *Yes, it is.*"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules found; ``calculus``: they leave it to math-verify, with the answer's formula in ``formula``."""

    finding: Finding
    detail: str = ""
    formula: str = ""


def decide(reference_text: str, text: str, rules: AnswerRules) -> Decision:
    """Whether an answer's text gives the reference: plain ones at once, all others after both are read."""
    candidates = extraction.candidates(text)
    if candidates and rules is EXACT_RULES and (right := _decided_plainly(reference_text, candidates[0])) is not None:
        return Decision("correct" if right else "wrong")
    return _by_reading(read_reference(reference_text), candidates, text, rules)


def _decided_plainly(reference_text: str, candidate: Candidate) -> bool | None:
    """Whether a plain candidate is a plain reference; None if one is not plain, or the sentence's number is not sure to be it."""
    if candidate.prose or (gold := plain(reference_text)) is None or (answer := plain(candidate.text)) is None:
        return None
    return same_plain(gold, answer)


def _by_reading(reference: Reference, candidates: list[Candidate], text: str, rules: AnswerRules) -> Decision:
    if candidates and reference.identity and identity(undelimited(candidates[0].text)) == reference.identity:
        return Decision("correct")
    if candidates and (
        _same_words(reference, candidates[0]) or is_decimal_comma(undelimited(candidates[0].text), reference.formula)
    ):
        return Decision("correct")
    if reference.letter and (decision := _by_letter(reference, text)) is not None:
        return decision
    if candidates and candidates[0].boxed and not candidates[0].text.strip():
        return Decision("malformed", "an empty box")
    if not reference.values:
        return _unread_reference(reference, candidates, text)
    return _first_that_reads(reference, candidates, text, rules)


def _same_words(reference: Reference, candidate: Candidate) -> bool:
    """Whether a reference in words is what the candidate says, whatever letters it may be read as."""
    if not reference.values or not isinstance(reference.values[0], Words) or len(reference.values[0].text) < 2:
        return False
    if len(candidate.text) > formulas.LONGEST:
        return False
    gold = reference.values[0].text
    return gold in (phrases.normal(undelimited(candidate.text)), candidate.text.strip())


def _by_letter(reference: Reference, text: str) -> Decision | None:
    """By the letter the answer names; None if it names none, and may give the choice's content instead."""
    letter = choices.named(text)
    if letter is None:
        return None
    if letter == reference.letter:
        return Decision("correct")
    return Decision("wrong", f"got {letter}")


def _unread_reference(reference: Reference, candidates: list[Candidate], text: str) -> Decision:
    """A reference that no rule reads: identical texts are equal, an answer that lacks one of its numbers is wrong."""
    said = candidates[0].text if candidates else text
    if reference.calculus:
        return Decision("calculus", formula=undelimited(said))
    missing = numerals(reference.text) - numerals(text)
    if missing and reference.text.count(" ") >= 2 and re.search(r"[A-Za-z]{3}", reference.text):
        return Decision("wrong", f"{', '.join(sorted(missing))} of the reference is not in the answer")
    return Decision("no_rule", f"no rule reads the reference {reference.text!r}: {reference.why}")


def _first_that_reads(reference: Reference, candidates: list[Candidate], text: str, rules: AnswerRules) -> Decision:
    """By the first candidate that is a formula; a sentence's words are none unless the reference is words."""
    why = ""
    for candidate in candidates:
        if _is_no_answer_to(candidate, reference):
            continue
        try:
            answers = _answers(candidate)
        except (Unreasonable, RecursionError) as error:
            return Decision("wrong", f"unreasonable: {error}")
        except (Unreadable, Undefined) as error:
            why = why or str(error)
            if calculus_statements.is_one(candidate.text) and not candidate.prose:
                return Decision("calculus", formula=undelimited(candidate.text))
            continue
        if (decision := _of_candidate(reference, candidate, answers, rules)) is not None:
            return decision
    if isinstance(reference.values[0], Words):
        return _in_words(reference.values[0], candidates, text)
    shown = f"no formula can be read: {why}" if why else "no mathematics"
    return Decision("malformed", shown)


def _of_candidate(reference: Reference, candidate: Candidate, answers: list[Value], rules: AnswerRules) -> Decision | None:
    """The decision on a candidate that was read; None if the next one is to be tried."""
    in_words = isinstance(reference.values[0], Words)
    if not candidate.boxed and isinstance(answers[0], Words) and not in_words:
        return None
    decision = _compared(reference, answers, rules)
    return decision if decision.finding == "correct" or not in_words or candidate.boxed else None


def _is_no_answer_to(candidate: Candidate, reference: Reference) -> bool:
    """A sentence's numbers are a list only if the reference is one of as many, and a single number answers no list."""
    if not candidate.prose:
        return False
    listed = isinstance(reference.values[0], Listing)
    count = candidate.text.count(" , ") + 1
    return listed != (count > 1) or (isinstance(reference.values[0], Listing) and count != len(reference.values[0].items))


def _answers(candidate: Candidate) -> list[Value]:
    """The readings of a candidate."""
    text = undelimited(candidate.text)
    values: list[Value] = []
    for thousands in readings(text):
        value = formulas.read(text, thousands=thousands)
        evaluate(value)
        if value not in values:
            values.append(value)
    return values


def _compared(reference: Reference, answers: list[Value], rules: AnswerRules) -> Decision:
    try:
        right = any(equivalence.equal(gold, called_as(gold, answer), rules) for gold in reference.values for answer in answers)
    except (Unreasonable, RecursionError) as error:
        return Decision("wrong", f"unreasonable: {error}")
    except (Undefined, Unreadable) as error:
        return Decision("wrong", f"no value: {error}")
    return Decision("correct" if right else "wrong")


def same_value(gold: str, answer: str) -> bool | None:
    """Whether two formulas are equal by the exact rules; names of what is computed may differ. None if one is not read by them."""
    if relations.may_be_one_name(gold, answer):
        return True
    try:
        return equivalence.equal(formulas.read(undelimited(gold)), formulas.read(undelimited(answer)))
    except (Unreadable, Unreasonable, Undefined, RecursionError):
        return None


def _in_words(gold: Words, candidates: list[Candidate], text: str) -> Decision:
    """A name or *yes* in a sentence: as what an answer phrase states, or as the subject of the last sentence without a *not*."""
    said = [candidate.text for candidate in candidates if not candidate.prose]
    for sentence in said:
        plain = phrases.normal(extraction.LEADING.sub("", sentence))
        if plain == gold.text:
            return Decision("correct")
        is_verdict = gold.text in _VERDICTS and not (_VERDICTS - {gold.text}) & set(plain.split())
        stated = plain.startswith(f"{gold.text} ") and (
            _STATES.match(plain[len(gold.text) :]) or (is_verdict and not re.search(r"\d", plain))
        )
        concluded = re.search(rf"\b(?:on|in|at|by|called|named) {re.escape(gold.text)}$", plain)
        if (stated or concluded) and (is_verdict or not _NEGATION.search(sentence)):
            return Decision("correct")
    if any(isinstance(value, Quantity | Words) for value in _readable(said)):
        return Decision("wrong")
    return Decision("malformed", "the answer's words are not the reference's")


def _readable(said: list[str]) -> list[Value]:
    readings: list[Value] = []
    for text in said:
        try:
            readings.append(formulas.read(text))
        except (Unreadable, Unreasonable):
            continue
    return readings
