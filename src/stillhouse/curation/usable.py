"""Can the kept questions be verified? Known answers are tried on a sample of every source that was not generated."""

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path

from stillhouse.artifacts import tables
from stillhouse.curation.config import QuestionsConfig
from stillhouse.sources.config import Arithmetic, HumanEval, ReasoningGym, Worded
from stillhouse.verification import self_test as known_answers
from stillhouse.verification.pool import VerifierPool
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import PASS_THRESHOLDS
from stillhouse.vocabulary.rows import Question

TIMEOUT_S = 5.0
"""Seconds one answer may take: a reference that is slow here is no reason to refuse its source."""
GENERATED = (Arithmetic, HumanEval, ReasoningGym, Worded)
"""Sources whose references their own tests vouch for."""


def self_test(config: QuestionsConfig, output: Path) -> None:
    """Try known answers on a sample of the questions in ``output``.

    Raises TooManyErrors for a source with more wrong verdicts than ``max_self_test_failure_rate`` allows.
    """
    if not config.self_test:
        return
    generated = {spec.name for spec in config.sources if isinstance(spec, GENERATED)}
    with VerifierPool(TIMEOUT_S, verifiers=config.verifiers) as pool:
        questions = (row for row in tables.read(output, Question) if row.source not in generated and row.category in pool.verifiers)
        sample = list(_sample(questions))
        if sample:
            known_answers.check(pool, sample, PASS_THRESHOLDS, config.max_self_test_failure_rate, "questions")


def _sample(questions: Iterable[Question]) -> Iterator[Question]:
    """For each category and source the questions that the self-test would choose of all; no more are held."""
    chosen: dict[tuple[str, str], list[tuple[int, str, Question]]] = {}
    for question in questions:
        heap = chosen.setdefault((question.category, question.source or ""), [])
        # The largest on top: a heap of the smallest.
        rank = -int(ids.content_id(question.question_id), 16)
        if len(heap) < known_answers.QUESTIONS:
            heapq.heappush(heap, (rank, question.question_id, question))
        elif rank > heap[0][0]:
            heapq.heapreplace(heap, (rank, question.question_id, question))
    return (question for heap in chosen.values() for _, _, question in heap)
