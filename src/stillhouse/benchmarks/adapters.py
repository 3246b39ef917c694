"""Dataset adapters: rows of a published data set -> questions. One function per data set's columns.

The papers give no template for multiple choice and do not say how choices are shuffled; ours are below.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from stillhouse.errors import BadRows
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question
from stillhouse.vocabulary.text import ending

LETTERS = "ABCDEFGHIJ"
CHOICE_ORDER_SEED = 0
SHOTS = 5
"""Worked examples shown before an MMLU question, as its authors do."""
CHOICE_INSTRUCTION = "Exactly one choice is right. Answer with its letter."


class DatasetRow(dict[str, Any]):
    """One row of a published data set; reading a missing column raises BadRows."""

    def __missing__(self, column: str) -> Any:
        msg = f"no column {column!r} in a published row, got {', '.join(self)}; keep the columns of the data set on the hub"
        raise BadRows(msg)


def problems(rows: Iterable[DatasetRow], source: str) -> Iterator[Question]:
    """AIME and MATH-500: ``problem`` and ``answer``; ``error``, where there is one, is the tolerance (OlympiadBench)."""
    for row in rows:
        tolerance = str(row["error"]) if row.get("error") else None
        yield question(row["problem"], source, reference=str(row["answer"]).strip(), constraints=tolerance)


def gsm8k(rows: Iterable[DatasetRow], source: str) -> Iterator[Question]:
    """GSM8K: ``question``, and ``answer``, a worked solution that ends in ``#### RESULT``. Raises BadRows if it does not."""
    for row in rows:
        _, mark, result = row["answer"].rpartition("####")
        if not mark:
            msg = f"benchmark {source}: an answer has no #### before its result: {ending(row['answer'], 80)!r}; is this GSM8K?"
            raise BadRows(msg)
        yield question(row["question"], source, reference=result.strip().replace(",", ""))


def ifeval(rows: Iterable[DatasetRow], source: str) -> Iterator[Question]:
    """IFEval: ``prompt``, ``instruction_id_list``, ``kwargs``. A response passes if it follows every instruction: prompt-strict."""
    for row in rows:
        # On the hub every instruction carries the fields of all instructions; those of others are null.
        kwargs = [{key: value for key, value in fields.items() if value is not None} for fields in row["kwargs"]]
        constraints = json.dumps({"instruction_id_list": row["instruction_id_list"], "kwargs": kwargs})
        yield question(row["prompt"], source, category="instruction_following", constraints=constraints)


def gpqa(rows: Iterable[DatasetRow], source: str) -> Iterator[Question]:
    """GPQA: ``Question``, ``Correct Answer`` and three ``Incorrect Answer N``. The text seeds the order of the choices."""
    for row in rows:
        text, right = row["Question"].strip(), row["Correct Answer"].strip()
        choices = [right, *(row[f"Incorrect Answer {number}"].strip() for number in (1, 2, 3))]
        random.Random(f"{source}/{CHOICE_ORDER_SEED}/{text}").shuffle(choices)
        prompt = f"{lettered(text, choices)}\n\n{CHOICE_INSTRUCTION}"
        yield question(prompt, source, category="science", reference=LETTERS[choices.index(right)])


def mmlu(rows: Iterable[DatasetRow], source: str) -> Iterator[Question]:
    """MMLU: ``question``, ``subject``, ``choices``, ``answer`` (0 to 3), ``split``.

    The first five rows of split ``dev`` on a subject are shown, with their answers, before each question on it.
    """
    tested: list[DatasetRow] = []
    shots: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["split"] == "dev":
            shots[row["subject"]].append(f"{lettered(row['question'].strip(), row['choices'])}\nAnswer: {LETTERS[row['answer']]}")
        else:
            tested.append(row)
    for row in tested:
        head = f"Questions on {row['subject'].replace('_', ' ')}, the first ones with their answers. {CHOICE_INSTRUCTION}"
        text = "\n\n".join([head, *shots[row["subject"]][:SHOTS], lettered(row["question"].strip(), row["choices"])])
        yield question(text, source, category="other", reference=LETTERS[row["answer"]])


def lettered(text: str, choices: Sequence[str]) -> str:
    """The question, then one line ``A) …`` per choice."""
    return "\n".join([text, *(f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))])


def question(text: str, source: str, *, category: Category = "math", reference: str | None = None, **columns: Any) -> Question:
    """A question of one turn."""
    messages: list[Message] = [{"role": "user", "content": text.strip()}]
    return Question(question_id(messages, reference), category, messages, reference, source=source, language="en", **columns)
