"""Published rows -> questions, where the answer is worked out: AIME, MATH-500, GSM8K, IFEval."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from stillhouse.benchmarks.datasets import Row
from stillhouse.errors import BadRows
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question


def problems(rows: Iterable[Row], source: str) -> Iterator[Question]:
    """AIME and MATH-500: ``problem`` and ``answer``."""
    for row in rows:
        yield question(row["problem"], source, reference=str(row["answer"]).strip())


def gsm8k(rows: Iterable[Row], source: str) -> Iterator[Question]:
    """GSM8K: ``question``, and ``answer``, a worked solution that ends in ``#### RESULT``. Raises BadRows without that."""
    for row in rows:
        _, mark, result = row["answer"].rpartition("####")
        if not mark:
            msg = f"benchmark {source}: an answer has no #### before its result: {row['answer'][-80:]!r}; is this GSM8K?"
            raise BadRows(msg)
        yield question(row["question"], source, reference=result.strip().replace(",", ""))


def ifeval(rows: Iterable[Row], source: str) -> Iterator[Question]:
    """IFEval: ``prompt``, ``instruction_id_list``, ``kwargs``. A response passes if it keeps every instruction: prompt-strict."""
    for row in rows:
        # The hub gives every instruction all fields of all instructions; those it does not have are null.
        kwargs = [{key: value for key, value in given.items() if value is not None} for given in row["kwargs"]]
        constraints = json.dumps({"instruction_id_list": row["instruction_id_list"], "kwargs": kwargs})
        yield question(row["prompt"], source, category="instruction_following", constraints=constraints)


def question(text: str, source: str, *, category: Category = "math", reference: str | None = None, **columns: Any) -> Question:
    """A question of one turn."""
    messages: list[Message] = [{"role": "user", "content": text.strip()}]
    return Question(question_id(messages, reference), category, messages, reference, source=source, language="en", **columns)
