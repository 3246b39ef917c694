"""Before a run: does each source's verifier accept what it must, and refuse what it must?

On a sample of questions of every category and source, the verifier judges answers whose verdict is known: the reference must pass,
an empty answer and the reference with any part of it changed must fail. A judge is measured on references of its own category.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from stillhouse.errors import TooManyErrors
from stillhouse.verification import choices
from stillhouse.verification.config import VerifiedConfig
from stillhouse.verification.judges import Judges
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Verdict, VerificationRequest, make_request
from stillhouse.verification.verifier import KnownAnswer
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.rows import FAILED, Question, ResponseKey
from stillhouse.vocabulary.shards import Shard
from stillhouse.vocabulary.text import shortened

QUESTIONS = 16
"""Questions sampled per source and category: enough to tell a broken verifier from a few odd references."""


def before_run(
    config: VerifiedConfig, shard: Shard, pool: VerifierPool, judges: Judges, questions: Collection[Question]
) -> dict[str, float]:  # fmt: skip
    """Both checks of a run of ``verified``: of the rules, on the shard's questions, and of the judge if there is one.

    Raises TooManyErrors as ``check`` and ``check_judges`` do.
    """
    of_shard = (row for row in questions if shard.holds(row.question_id))
    metrics = check(pool, of_shard, config.pass_thresholds, config.max_self_test_failure_rate)
    if config.judge:
        metrics |= check_judges(judges, pool, questions, config.pass_thresholds, config.min_judge_kappa)
    return metrics


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


def check_judges(
    judges: Judges, pool: VerifierPool, questions: Iterable[Question], thresholds: Mapping[Category, float], min_kappa: float
) -> dict[str, float]:  # fmt: skip
    """Agreement of the judge with what is known, as Cohen's kappa, for each category that it compares with references.

    Known are a question's own reference, which must pass, and another question's reference, which must not. Raises TooManyErrors
    for a kappa below ``min_kappa``.
    """
    metrics: dict[str, float] = {}
    for category, sample in sorted(_judged_samples(pool, questions).items()):
        trials = [(make_request(question, answer), passes) for question, answer, passes in _known(sample)]
        keyed: list[tuple[ResponseKey, VerificationRequest]] = [
            (("self-test", "judge", "question", 1, number), request) for number, (request, _) in enumerate(trials)
        ]
        verdicts = judges.judge(category, keyed)
        pairs = [
            (passes, verdict.verify_score > thresholds[category])
            for (_, passes), verdict in zip(trials, verdicts, strict=True) if verdict.verify_score is not None
        ]  # fmt: skip
        metrics[f"judge_kappa/{category}"] = agreement = kappa(pairs)
        if agreement < min_kappa:
            msg = (
                f"verified: the judge agrees with known {category} answers to a kappa of {agreement:.2f}, min_judge_kappa is "
                f"{min_kappa:g}; take another judge, or lower it"
            )
            raise TooManyErrors(msg)
    return metrics


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Cohen's kappa of two raters: (observed - expected agreement) / (1 - expected); 0 without pairs or without any variety."""
    if not pairs:
        return 0.0
    n = len(pairs)
    observed = sum(one == other for one, other in pairs) / n
    shares = [sum(pair[rater] for pair in pairs) / n for rater in range(2)]
    expected = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    return 0.0 if expected == 1 else (observed - expected) / (1 - expected)


def _known(sample: Sequence[Question]) -> Iterator[tuple[Question, str, bool]]:
    """(question, answer, whether it must pass): each question with its own reference, and with another's."""
    for number, question in enumerate(sample):
        yield question, str(question.reference_answer), True
        other = sample[(number + 1) % len(sample)].reference_answer
        if other != question.reference_answer:
            yield question, str(other), False


def _judged_samples(pool: VerifierPool, questions: Iterable[Question]) -> Mapping[Category, Sequence[Question]]:
    """Some questions of every category whose references a judge compares; letters of choices need none."""
    by_category: dict[Category, list[Question]] = defaultdict(list)
    for question in questions:
        if question.category in pool.verifiers or FACTS[question.category].needs != "reference_answer":
            continue
        if question.reference_answer and not choices.is_choice(make_request(question, "")):
            by_category[question.category].append(question)
    return {
        category: sorted(group, key=lambda question: ids.content_id(question.question_id))[:QUESTIONS]
        for category, group in by_category.items()
    }


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
