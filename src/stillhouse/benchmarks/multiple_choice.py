r"""Multiple choice: GPQA-Diamond, MMLU. Questions with lettered choices, the letter an answer names, and the verdict on it.

The papers give no template for the choices, and do not say how they are shuffled; ours are below.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from stillhouse.benchmarks.adapters import question
from stillhouse.benchmarks.datasets import Row
from stillhouse.verification.scoring import request_of
from stillhouse.verification.verdict import Request, Verdict, unanswered
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.rows import Question, Response, Verified

VERSION = "choices 1"
"""Part of the protocol: raised when an answer could be read in another way."""
LETTERS = "ABCDEFGHIJ"
ORDER_SEED = 0
SHOTS = 5
ASK = "Exactly one choice is right. Answer with its letter."

_LETTER = rf"(?:\\(?:text|textbf|mathrm|mathbf)\{{)?[\s$*(]*([{LETTERS}])\b"
_BOXED = re.compile(rf"\\boxed\{{{_LETTER}")
_SAID = re.compile(rf"(?i:\b(?:answer|choice|option)\b(?:\s+is)?\s*:?)\s*{_LETTER}")
_ALONE = re.compile(rf"\s*{_LETTER}(?:\s*$|[.:)}}$*])")


def gpqa(published: Iterable[Row], source: str) -> Iterator[Question]:
    """GPQA: ``Question``, ``Correct Answer`` and three ``Incorrect Answer``; the order of the choices is drawn by the question."""
    for row in published:
        text, right = row["Question"].strip(), row["Correct Answer"].strip()
        shown = [right, *(row[f"Incorrect Answer {number}"].strip() for number in (1, 2, 3))]
        random.Random(f"{source}/{ORDER_SEED}/{text}").shuffle(shown)
        yield question(f"{lettered(text, shown)}\n\n{ASK}", source, category="science", reference=LETTERS[shown.index(right)])


def mmlu(published: Iterable[Row], source: str) -> Iterator[Question]:
    """MMLU: ``question``, ``subject``, ``choices``, ``answer`` (0 to 3); the first five of split ``dev`` on a subject go before."""
    asked: list[Row] = []
    shots: dict[str, list[str]] = defaultdict(list)
    for row in published:
        if row["split"] == "dev":
            shots[row["subject"]].append(f"{lettered(row['question'].strip(), row['choices'])}\nAnswer: {LETTERS[row['answer']]}")
        else:
            asked.append(row)
    for row in asked:
        head = f"Questions on {row['subject'].replace('_', ' ')}, the first ones with their answers. {ASK}"
        text = "\n\n".join([head, *shots[row["subject"]][:SHOTS], lettered(row["question"].strip(), row["choices"])])
        yield question(text, source, category="other", reference=LETTERS[row["answer"]])


def lettered(text: str, shown: Sequence[str]) -> str:
    """The question, and a line ``A) …`` to a choice."""
    return "\n".join([text, *(f"{letter}) {choice}" for letter, choice in zip(LETTERS, shown, strict=False))])


def letter(answer: str) -> str | None:
    r"""The letter an answer names: in its last ``\boxed{}``, else where it last says "the answer is", else at its beginning."""
    for pattern in (_BOXED, _SAID):
        if found := pattern.findall(answer):
            return str(found[-1])
    alone = _ALONE.match(answer)
    return alone[1] if alone else None


def verdicts(questions: Mapping[str, Question], responses: Sequence[Response]) -> list[Verified]:
    """The verdict on each response, in order. Raises BadRows for a response to an unknown question."""
    made = []
    for response in responses:
        request = request_of(questions, response)
        verdict, threshold = _verdict(request), FACTS[request.category].pass_threshold
        passed = None if verdict.verify_score is None else verdict.verify_score > threshold
        made.append(
            Verified(
                *rows.response_key(response), verdict.kind, verdict.verify_score, passed, verdict.method, verdict.detail, 0.0,
                threshold=threshold,
            )
        )  # fmt: skip
    return made


def _verdict(request: Request) -> Verdict:
    if silent := unanswered(request, VERSION):
        return silent
    answer = str(request.answer).strip()
    named = letter(answer)
    if named is None:
        return Verdict("malformed", 0.0, VERSION, f"no choice is named in {answer[:100]!r}")
    if named != request.reference:
        return Verdict("wrong", 0.0, VERSION, f"got {named}, reference {request.reference}")
    return Verdict("correct", FACTS[request.category].scale, VERSION)
