r"""A math answer against its reference: 1 if they are equal, else 0 (DeepDistill §2.4.1, first stage).

``exact`` reads both whole and decides at once, without a worker: its values are bounded, so no answer can hold it up. Integrals,
sums and limits go to math-verify in a worker. What cannot be evaluated is wrong (*unreasonable*), and what no rule reads in a
reference is an error that says so.
"""

from dataclasses import replace

from stillhouse.verification import calculus, calculus_statements
from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact.answer_rules import BadAnswerRules, answer_rules
from stillhouse.verification.exact.extraction import LONGEST_BOX
from stillhouse.verification.math_answers import Decision, decide, same_value
from stillhouse.verification.math_references import Reference, identity, read_reference, unboxed
from stillhouse.verification.perturbation import perturbed
from stillhouse.verification.verdict import DETAIL_CHARS, NO_RULE, Verdict, VerificationRequest, unanswered
from stillhouse.verification.verifier import KnownAnswer, Verifier
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.text import ending, shortened

EXACT = "exact"
EMPTY_BOX = "\\boxed{}"
LONGEST_ANSWER = 40_000
"""Characters read at the end of an answer: the longest box, and as much after it."""


class MathVerifier(Verifier):
    """Compares formulas: by ``exact``, and by math-verify what has integrals, sums or limits."""

    method = EXACT

    def warm(self) -> None:
        """See Verifier: math-verify defers part of its loading to its first calls."""
        calculus.warm()

    def fast_path(self, request: VerificationRequest) -> Verdict | None:
        """See Verifier: the verdict unless math-verify is to decide."""
        try:
            return _decided(request)[0]
        except Exception as error:  # noqa: BLE001 - the edge where a row's failure becomes a counted value
            return Verdict("error", None, EXACT, f"{type(error).__name__}: {error}")

    def trimmed(self, request: VerificationRequest) -> VerificationRequest:
        """See Verifier: the end of the answer, the reference and its rules, nothing else."""
        return replace(request, answer=_tail(request.answer or ""), prompt=None, test_cases=None, messages=())

    def verify(self, request: VerificationRequest) -> Verdict:
        """The verdict by math-verify. It has no time limit: call it only in a process that can be killed."""
        verdict, decision = _decided(request)
        if verdict is not None or decision is None:
            return verdict or Verdict("error", None, EXACT, "no decision")
        reference = read_reference(str(request.reference))
        try:
            for side in calculus_statements.sides(reference.formula):
                calculus.prepare(side)
        except calculus.UnreadReference as error:
            return Verdict("error", None, NO_RULE, f"no rule reads the reference: {error}")
        return _by_calculus(reference, decision)

    def unfinished(self, request: VerificationRequest, seconds: float) -> Verdict:
        """See Verifier: against a reference that the exact rules read, it is the answer that cannot be evaluated."""
        if read_reference(str(request.reference)).values:
            return Verdict("wrong", 0.0, calculus.METHOD, f"unreasonable: no value after {seconds:g} s of processor time", seconds)
        return super().unfinished(request, seconds)

    def known_answers(self, question: Question) -> list[KnownAnswer]:
        """See Verifier: the reference, an empty box, and the reference with one part changed, for each part."""
        reference = read_reference((question.reference_answer or "").strip())
        return [
            KnownAnswer("the reference", f"\\boxed{{{reference.text}}}", passes=True),
            KnownAnswer("an empty box", EMPTY_BOX, passes=False),
            *(KnownAnswer("a perturbed reference", f"\\boxed{{{text}}}", passes=False) for text in perturbed(reference.text)),
        ]


def _decided(request: VerificationRequest) -> tuple[Verdict | None, Decision | None]:
    """The verdict, or the decision that leaves it to math-verify."""
    if (verdict := unanswered(request, EXACT)) is not None:
        return verdict, None
    text = (request.reference or "").strip()
    if not text:
        return Verdict("error", None, EXACT, "the question has no reference answer"), None
    try:
        rules = answer_rules(request.constraints)
    except BadAnswerRules as error:
        return Verdict("error", None, EXACT, str(error)), None
    answer = _tail(request.answer or "")
    return _verdict(unboxed(text), answer, rules)


def _verdict(reference: str, answer: str, rules: AnswerRules) -> tuple[Verdict | None, Decision | None]:
    decision = decide(reference, answer, rules)
    if decision.finding == "calculus":
        return None, decision
    if decision.finding == "no_rule":
        return Verdict("error", None, NO_RULE, decision.detail), None
    score = 1.0 if decision.finding == "correct" else 0.0
    detail = decision.detail
    if decision.finding != "correct":
        detail = f"{detail}: {_difference(answer, reference)}" if detail else _difference(answer, reference)
    return Verdict(decision.finding, score, EXACT, detail), None


def _by_calculus(reference: Reference, decision: Decision) -> Verdict:
    """math-verify's verdict; whatever it raises on the answer, the answer is what it cannot read or evaluate."""
    try:
        right = _all_equal(reference.formula, decision.formula)
    except MemoryError:
        return Verdict("wrong", 0.0, calculus.METHOD, "unreasonable: out of memory")
    except Exception as error:  # noqa: BLE001 - the reference was read before: it is this answer that raises
        shown = repr(ending(decision.formula, DETAIL_CHARS // 2))
        return Verdict("malformed", 0.0, calculus.METHOD, f"{type(error).__name__} on {shown}")
    if right:
        return Verdict("correct", 1.0, calculus.METHOD)
    return Verdict("wrong", 0.0, calculus.METHOD, _difference(decision.formula, reference.text))


def _all_equal(reference: str, answer: str) -> bool:
    """Whether every side of the answer is equal to the reference's: as a text, by the exact rules, or by math-verify."""
    sides = calculus_statements.pairs(reference, answer)
    return sides is not None and all(_equal_sides(*pair) for pair in sides)


def _equal_sides(gold: str, answer: str) -> bool:
    if identity(gold) == identity(answer):
        return True
    if (exact := same_value(gold, answer)) is not None:
        return exact
    return calculus.equal(gold, answer)


def _tail(answer: str) -> str:
    """The end of an answer, from the last box on if it is far from the end."""
    if len(answer) <= LONGEST_ANSWER:
        return answer
    box = max(answer.rfind(name) for name in ("\\boxed", "\\fbox", "\\framebox"))
    start = len(answer) - LONGEST_ANSWER
    return answer[box : box + LONGEST_BOX] if 0 <= box < start else answer[start:]


def _difference(answer: str, reference: str) -> str:
    return f"got {ending(answer, DETAIL_CHARS // 3)!r}, reference {shortened(reference, DETAIL_CHARS // 3)!r}"
