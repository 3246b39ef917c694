"""Before a run: does each dataset's verifier accept what it must, and refuse what it must?

For a sample of questions of every category and source the reference itself has to pass, and an answer with nothing in it and a
perturbed reference have to fail.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stillhouse.errors import TooManyErrors
from stillhouse.verification import math
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Verdict, held_against
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import FAILED, Question

QUESTIONS = 16
"""Questions of a dataset that are looked at: enough to tell a broken verifier from a few odd references."""


@dataclass(frozen=True)
class Probe:
    """One answer whose verdict is known before: ``passes`` is None where all that is known is that there is a verdict."""

    name: str
    answer: str
    passes: bool | None


def check(
    pool: VerifierPool, questions: Iterable[Question], thresholds: Mapping[Category, float], max_failure_rate: float
) -> dict[str, float]:  # fmt: skip
    """Counts of what was tried and what came out otherwise.

    Raises TooManyErrors where one kind of answer (the reference, say) is judged wrongly for more than that share of a dataset.
    """
    totals = {"n_self_test": 0.0, "n_self_test_failed": 0.0}
    for (category, source), sample in sorted(_samples(questions).items()):
        probes = [(question, probe) for question in sample for probe in PROBES[category](question)]
        verdicts = pool.verify(held_against(question, probe.answer) for question, probe in probes)
        tried: Counter[str] = Counter()
        failed: dict[str, list[str]] = defaultdict(list)
        for (question, probe), verdict in zip(probes, verdicts, strict=True):
            tried[probe.name] += 1
            if _is_wrong(probe, verdict, thresholds[category]):
                example = f"{question.question_id} {probe.answer[:60]!r}: {verdict.kind} {verdict.detail[:80]}"
                failed[probe.name].append(example.strip())
        totals["n_self_test"] += tried.total()
        totals["n_self_test_failed"] += sum(map(len, failed.values()))
        for name, examples in failed.items():
            if len(examples) > max_failure_rate * tried[name]:
                msg = (
                    f"verified: {name} is judged wrongly for {len(examples)} of {tried[name]} {category} questions of source "
                    f"{source!r}: {'; '.join(examples[:3])}; look at references and tests there, or set self_test to false"
                )
                raise TooManyErrors(msg)
    return totals


def _samples(questions: Iterable[Question]) -> Mapping[tuple[Category, str], Sequence[Question]]:
    """Some questions of every (category, source) that has probes; the same ones every time."""
    found: dict[tuple[Category, str], list[Question]] = defaultdict(list)
    for question in questions:
        if question.category in PROBES:
            found[question.category, question.source or ""].append(question)
    return {key: sorted(each, key=lambda question: ids.content_id(question.question_id))[:QUESTIONS] for key, each in found.items()}


def _is_wrong(probe: Probe, verdict: Verdict, threshold: float) -> bool:
    if verdict.kind in FAILED or verdict.verify_score is None:
        return True
    return probe.passes is not None and probe.passes != (verdict.verify_score > threshold)


def _math(question: Question) -> list[Probe]:
    reference = (question.reference_answer or "").strip()
    perturbed = f"\\boxed{{{_perturbed(math.formula_text(reference))}}}"
    return [
        Probe("the reference", math.boxed(reference), passes=True), Probe("an empty box", "\\boxed{}", passes=False),
        Probe("a perturbed reference", perturbed, passes=False),
    ]  # fmt: skip


def _perturbed(formula: str) -> str:
    """A three before the first digit: 5 becomes 35, (1, 2) becomes (31, 2); before the whole where there is no digit."""
    changed = re.sub(r"[0-9]", lambda found: f"3{found[0]}", formula, count=1)
    return changed if changed != formula else f"3{formula}"


def _code(question: Question) -> list[Probe]:
    """A program that does nothing, and the reference where the question has one."""
    language = "cpp" if '"cpp"' in (question.test_cases or "") else "python"
    idle = {"cpp": "int main() { return 0; }", "python": "pass"}[language]
    probes = [Probe("a program that does nothing", f"```{language}\n{idle}\n```", passes=False)]
    if question.reference_answer:
        given = question.reference_answer
        probes.append(Probe("the reference", given if "```" in given else f"```{language}\n{given}\n```", passes=True))
    return probes


def _instruction_following(question: Question) -> list[Probe]:
    """Whether its constraints can be verified at all; and where they ask for words, an answer without them fails."""
    probes = [Probe("any answer", "Yes.", passes=None)]
    if any(name in (question.constraints or "") for name in ("keywords:existence", "detectable_content:postscript")):
        probes.append(Probe("an answer without what is asked for", json.dumps("-"), passes=False))
    return probes


PROBES: dict[str, Callable[[Question], list[Probe]]] = {
    "math": _math, "code": _code, "instruction_following": _instruction_following,
}  # fmt: skip
"""By category; categories that models judge have no verdicts known before."""
