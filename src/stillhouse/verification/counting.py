"""Verdicts -> a run's metrics: counts by kind, category and method, and the accuracy of each model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import TooManyErrors
from stillhouse.verification.scoring import reusable
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.categories import CATEGORIES
from stillhouse.vocabulary.rows import FAILED, KINDS, Question, ResponseKey, Verified


def counts(
    questions: Mapping[str, Question], verified: Iterable[Verified], previous: Mapping[ResponseKey, Verified]
) -> dict[str, float]:  # fmt: skip
    """Counts of verdicts, and accuracies over all responses on which the verifier did not fail."""
    totals: Counter[str] = Counter({f"n_{kind}": 0 for kind in KINDS} | {"n_reused": 0})
    passed: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for row in verified:
        category = questions[row.question_id].category
        totals.update([f"n_{row.kind}", f"n_by_category/{category}/{row.kind}", f"n_by_method/{row.method}"])
        totals["n_reused"] += reusable(previous, rows.response_key(row), row.content_id) is not None
        if row.passed is not None:
            names = (f"accuracy/{row.model}", f"accuracy_by_category/{category}/{row.model}")
            judged.update(names)
            passed.update({name: int(row.passed) for name in names})
    return {name: float(count) for name, count in totals.items()} | {name: passed[name] / n for name, n in sorted(judged.items())}


def refuse_failures(metrics: Mapping[str, float], max_failure_rate: float) -> None:
    """Raise TooManyErrors if the verifier failed on more than this share of the responses that ``counts`` counted."""
    failed, total = (sum(int(metrics[f"n_{kind}"]) for kind in kinds) for kinds in (FAILED, KINDS))
    if failed > max_failure_rate * total:
        by_category = [f"n_by_category/{category}/{kind}" for category in CATEGORIES for kind in FAILED]
        where = [f"{metrics[name]:g} {name}" for name in by_category if name in metrics]
        msg = (
            f"verified: the verifier failed on {failed} of {total} responses ({', '.join(where)}), max_failure_rate "
            f"allows {max_failure_rate:g}; raise timeout_s, or look at kind and detail of those rows"
        )
        raise TooManyErrors(msg)


def cost(responses: Sequence[str], n_correct: float) -> dict[str, float]:
    """Tokens, seconds and GPU-seconds that the artifacts of responses cost per response found correct.

    A reused response counts as much as a newly sampled one of the same artifact.
    """
    spent = dict.fromkeys(("tokens", "seconds", "gpu_seconds"), 0.0)
    for uri in responses:
        metrics = manifests.load(uri, "input responses").metrics
        for name in spent:
            spent[name] += metrics.get(f"{name}_per_response", 0.0) * metrics.get("n_responses", 0.0)
    return {f"{name}_per_correct": total / n_correct for name, total in spent.items() if total and n_correct}
