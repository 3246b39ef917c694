"""How far verdicts agree with marks that people made: precision and recall of "passes", each with its interval."""

from collections.abc import Iterable, Iterator, Sequence

from stillhouse.artifacts import tables
from stillhouse.verification.config import VerifiedConfig, VerifiedInputs
from stillhouse.verification.judges import Judges
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import verdicts, with_rules
from stillhouse.vocabulary.ids import content_id
from stillhouse.vocabulary.rows import Mark, Question, Response
from stillhouse.vocabulary.statistics import wilson_interval
from stillhouse.vocabulary.transcript import parse

Pairs = Sequence[tuple[bool, bool]]
"""For each marked response: whether the verifier passes it, and whether it should."""


def of_run(config: VerifiedConfig, inputs: VerifiedInputs, pool: VerifierPool, judges: Judges) -> dict[str, float]:
    """The agreement of a run of ``verified`` with the marks that it was given; the first shard's run measures it for all.

    The marked responses are judged as the run judges its own: they are the verifier's conformance set, which grows with every
    review. Returns what ``metrics`` does, and ``n_marks_failed``.
    """
    if not inputs.marks or inputs.shard.index:
        return {}
    marks = [mark for path in inputs.marks for mark in tables.read(path, Mark)]
    questions = {
        _question_key(mark): with_rules(_question(mark), config.answer_rules, config.instruction_mode) for mark in marks
    }  # fmt: skip
    judged = verdicts(pool, questions, [_response(mark) for mark in marks], config.pass_thresholds, judges)
    pairs = [(row.passed, mark.should_pass) for row, mark in zip(judged, marks, strict=True) if row.passed is not None]
    return metrics(pairs) | {"n_marks_failed": float(len(marks) - len(pairs))}


def metrics(pairs: Pairs) -> dict[str, float]:
    """``marks/precision`` and ``marks/recall`` with ``_low`` and ``_high`` (Wilson 1927, 95 %), as far as they are defined.

    Precision: the share of what passes that should. Recall: the share of what should pass that does. Both follow from the counts,
    which add up over shards.
    """
    both = sum(passes and should for passes, should in pairs)
    totals = {"precision": sum(passes for passes, _ in pairs), "recall": sum(should for _, should in pairs)}
    numbers = {
        "n_marks": float(len(pairs)), "n_marks_pass": float(totals["precision"]), "n_marks_should_pass": float(totals["recall"]),
        "n_marks_pass_rightly": float(both),
    }  # fmt: skip
    for name, n in totals.items():
        if n:
            low, high = wilson_interval(both / n, n)
            numbers |= {f"marks/{name}": both / n, f"marks/{name}_low": low, f"marks/{name}_high": high}
    return numbers


def told(marks: Iterable[Mark]) -> Iterator[str]:
    """The precision and recall of the verdicts that were marked, a line each."""
    numbers = metrics([(mark.passed, mark.should_pass) for mark in marks])
    for name in ("precision", "recall"):
        if f"marks/{name}" in numbers:
            value, low, high = (numbers[f"marks/{name}{end}"] for end in ("", "_low", "_high"))
            yield f"  {name} of the verifier on them {value:.3f} ({low:.3f} to {high:.3f})"


def _question_key(mark: Mark) -> str:
    """The question's id in a set of marks, which may hold one question in several versions."""
    return content_id(repr((mark.question_id, mark.messages, mark.reference_answer, mark.test_cases, mark.constraints)))


def _question(mark: Mark) -> Question:
    return Question(
        _question_key(mark), mark.category, mark.messages, mark.reference_answer, mark.test_cases, mark.constraints
    )  # fmt: skip


def _response(mark: Mark) -> Response:
    parsed = parse(mark.text)
    return Response(
        _question_key(mark), mark.model, mark.prompt_kind, mark.round, mark.sample_index, mark.text, parsed.think, parsed.answer,
        "length" if mark.kind == "truncated" else "stop", 0, 0, 0, "",
    )  # fmt: skip
