"""Verdicts -> the numbers of a run: by kind, category and method, and the accuracy of each model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from stillhouse.artifacts import manifest as manifests
from stillhouse.verification.scoring import reusable
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import KINDS, Question, ResponseKey, Verified


def counts(
    questions: Mapping[str, Question], made: Iterable[Verified], previous: Mapping[ResponseKey, Verified]
) -> dict[str, float]:  # fmt: skip
    """Counts of verdicts, and accuracies over those that say something about the response."""
    found: Counter[str] = Counter({f"n_{kind}": 0 for kind in KINDS} | {"n_reused": 0})
    passed: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for row in made:
        category = questions[row.question_id].category
        found.update([f"n_{row.kind}", f"n_by_category/{category}/{row.kind}", f"n_by_method/{row.method}"])
        found["n_reused"] += reusable(previous, rows.response_key(row), row.content_id) is not None
        if row.passed is not None:
            names = (f"accuracy/{row.model}", f"accuracy_by_category/{category}/{row.model}")
            judged.update(names)
            passed.update({name: int(row.passed) for name in names})
    return {name: float(count) for name, count in found.items()} | {name: passed[name] / n for name, n in sorted(judged.items())}


def cost(responses: Sequence[str], n_correct: float) -> dict[str, float]:
    """What the artifacts of responses cost in tokens, seconds and GPU-seconds for each response found correct.

    Responses that were taken over are counted at what those cost that were newly sampled beside them.
    """
    spent = dict.fromkeys(("tokens", "seconds", "gpu_seconds"), 0.0)
    for uri in responses:
        said = manifests.load(uri, "input responses").metrics
        for name in spent:
            spent[name] += said.get(f"{name}_per_response", 0.0) * said.get("n_responses", 0.0)
    return {f"{name}_per_correct": total / n_correct for name, total in spent.items() if total and n_correct}
