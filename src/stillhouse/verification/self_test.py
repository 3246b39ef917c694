"""Before a run: does each source's verifier accept what it must, and refuse what it must?

On a sample of questions of every category and source, the verifier judges answers whose verdict is known: the reference must pass,
an empty answer and a perturbed reference must fail.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from stillhouse.errors import TooManyErrors
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Verdict, make_request
from stillhouse.verification.verifier import KnownAnswer
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import FAILED, Question
from stillhouse.vocabulary.text import shortened

QUESTIONS = 16
"""Questions sampled per source and category: enough to tell a broken verifier from a few odd references."""


def check(
    pool: VerifierPool, questions: Iterable[Question], thresholds: Mapping[Category, float], max_failure_rate: float,
    stage: str = "verified",
) -> dict[str, float]:  # fmt: skip
    """Counts of the answers tried and of those judged wrongly.

    Raises TooManyErrors if a source has more than this share of wrong verdicts on one kind of answer, such as the reference.
    """
    totals = {"n_self_test": 0.0, "n_self_test_failed": 0.0}
    for (category, source), sample in sorted(_samples(pool, questions).items()):
        trials = [(question, known) for question in sample for known in pool.verifiers.of(category).known_answers(question)]
        verdicts = pool.verify(make_request(question, known.answer) for question, known in trials)
        tried: Counter[str] = Counter()
        failed: dict[str, list[str]] = defaultdict(list)
        for (question, known), verdict in zip(trials, verdicts, strict=True):
            tried[known.name] += 1
            if _is_wrong(known, verdict, thresholds[category]):
                failed[known.name].append(_example(question, known, verdict))
        totals["n_self_test"] += tried.total()
        totals["n_self_test_failed"] += sum(map(len, failed.values()))
        for name, examples in failed.items():
            if len(examples) > max_failure_rate * tried[name]:
                msg = (
                    f"{stage}: {name} is judged wrongly for {len(examples)} of {tried[name]} {category} questions of source "
                    f"{source!r}: {'; '.join(examples[:3])}; look at references and tests there, or set self_test to false"
                )
                raise TooManyErrors(msg)
    return totals


def _samples(pool: VerifierPool, questions: Iterable[Question]) -> Mapping[tuple[Category, str], Sequence[Question]]:
    """Some questions of every (category, source) that a rule scores; the same ones in every run."""
    by_source: dict[tuple[Category, str], list[Question]] = defaultdict(list)
    for question in questions:
        if question.category in pool.verifiers:
            by_source[question.category, question.source or ""].append(question)
    return {
        key: sorted(group, key=lambda question: ids.content_id(question.question_id))[:QUESTIONS]
        for key, group in by_source.items()
    }


def _is_wrong(known: KnownAnswer, verdict: Verdict, threshold: float) -> bool:
    if verdict.kind in FAILED or verdict.verify_score is None:
        return True
    return known.passes is not None and known.passes != (verdict.verify_score > threshold)


def _example(question: Question, known: KnownAnswer, verdict: Verdict) -> str:
    answer = repr(shortened(known.answer, 60))
    return f"{question.question_id} {answer}: {verdict.kind} {shortened(verdict.detail, 80)}".strip()
