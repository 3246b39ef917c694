"""What keeps a question out: no prompt, no reference to verify by, asked by a benchmark, there already."""

from collections.abc import Mapping

from stillhouse.curation.contamination import contaminant
from stillhouse.identity import normalise, prompt_text
from stillhouse.rows import Question

REFERENCE_COLUMNS = {
    "math": "reference_answer", "science": "reference_answer", "code": "test_cases", "instruction_following": "constraints",
}  # fmt: skip
"""What verifying a category takes; the others are scored without a reference."""


def flaw(question: Question, seen: set[str], benchmarks: Mapping[str, str]) -> tuple[str, str] | None:
    """Why the question is dropped, as reason and detail; None for a good one, whose prompt is then noted in ``seen``.

    ``benchmarks`` is what ``contamination.index`` made.
    """
    prompt = normalise(prompt_text(question.messages))
    if not any(message["role"] == "user" and message["content"].strip() for message in question.messages):
        return "empty_prompt", ""
    column = REFERENCE_COLUMNS.get(question.category)
    if column and not (getattr(question, column) or "").strip():
        return "missing_reference", f"{question.category} questions are verified by {column}"
    if benchmark := contaminant(question, benchmarks):
        return "contaminated", f"asked by {benchmark}"
    if prompt in seen:
        return "duplicate", ""
    seen.add(prompt)
    return None
