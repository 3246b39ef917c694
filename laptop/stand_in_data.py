"""Rows by tens in the place of data sets and benchmarks: sums in every category, with what the category is verified by."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stillhouse.benchmarks.definitions import BENCHMARKS, HubDataset, livecodebench_window
from stillhouse.vocabulary.categories import Category

ROWS_OF_BENCHMARK = 2
TOPICS = {
    "math": "What is {a} + {b}?",
    "science": "A flask holds {a} grams of water and {b} grams of salt. What is the mass of the solution in grams?",
    "code": "Read one line with two integers, such as {a} and {b}, and print their sum.",
    "instruction_following": "Tell in one sentence what {a} and {b} make together. Use no comma.",
    "other": "Explain to a child how {a} and {b} are added.",
    "multi_turn": "And how much is {a} and {b}?",
}


def questions(path: Path, category: Category, count: int, first: int) -> dict[str, str]:
    """Write ``count`` questions of a category, all different for different ``first``; returns where a row keeps each part."""
    rows = [_row(category, *_numbers(first + number)) for number in range(count)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return {name: name for name in rows[0] if name != "category"}


def benchmark(directory: Path, name: str) -> str:
    """Write a published benchmark's file with its own columns and a few rows; returns the pin of its data."""
    window = livecodebench_window(name)
    source = BENCHMARKS[name].source if not window else None
    adapter = source.adapter if isinstance(source, HubDataset) else "livecodebench"
    rows = [_PUBLISHED[adapter](*_numbers(900 + number), window) for number in range(ROWS_OF_BENCHMARK)]
    data = "".join(f"{json.dumps(row)}\n" for group in rows for row in group).encode()
    (directory / f"{name}.jsonl").write_bytes(data)
    return f"sha256-{hashlib.sha256(data).hexdigest()}"


def _numbers(index: int) -> tuple[int, int]:
    """Two numbers, another pair for every index."""
    return 11 + index % 83, 12 + index // 83 * 7 + index % 7


def _row(category: Category, a: int, b: int) -> dict[str, Any]:
    prompt, total = TOPICS[category].format(a=a, b=b), str(a + b)
    response = f"<think>{a} and {b} make {total}.</think><answer>\\boxed{{{total}}}</answer>"
    row: dict[str, Any] = {"prompt": prompt, "original_response": response}
    if category in {"math", "science"}:
        row["reference_answer"] = total
    if category == "code":
        row["original_response"] = "<think>Add.</think><answer>```python\nprint(sum(map(int, input().split())))\n```</answer>"
        row["test_cases"] = json.dumps(_tests(a, b))
    if category == "instruction_following":
        row["original_response"] = f"<think>No comma.</think><answer>They make {total}.</answer>"
        row["constraints"] = json.dumps({"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]})
    if category == "multi_turn":
        turns = [("user", f"How much is {b} and {a}?"), ("assistant", f"It is {total}."), ("user", prompt)]
        row = {"messages": [{"role": role, "content": content} for role, content in (*turns, ("assistant", response))]}
    return row


def _tests(a: int, b: int) -> dict[str, Any]:
    return {
        "call_type": "std", "fn_name": None, "inputs": [f"{a} {b}\n", "1 2\n"], "outputs": [f"{a + b}\n", "3\n"],
        "assert_case": [], "language": "python",
    }  # fmt: skip


def _livecodebench(a: int, b: int, window: Sequence[str] | None) -> list[dict[str, Any]]:
    cases = [{"input": f"{a} {b}\n", "output": f"{a + b}\n", "testtype": "stdin"}]
    return [{
        "question_content": TOPICS["code"].format(a=a, b=b), "starter_code": "", "contest_date": f"{(window or ['2024-08'])[0]}-03",
        "public_test_cases": json.dumps(cases), "private_test_cases": json.dumps(cases), "metadata": "{}",
    }]  # fmt: skip


def _mmlu(a: int, b: int, _: Sequence[str] | None) -> list[dict[str, Any]]:
    row = {"question": TOPICS["math"].format(a=a, b=b), "subject": "addition", "choices": [str(a + b), "1", "2", "3"], "answer": 0}
    return [row | {"split": "dev", "question": "What is 1 + 1?", "choices": ["2", "1", "3", "4"]}, row | {"split": "test"}]


_PUBLISHED: dict[str, Callable[[int, int, Sequence[str] | None], list[dict[str, Any]]]] = {
    "problems": lambda a, b, _: [{"problem": TOPICS["math"].format(a=a, b=b), "answer": str(a + b)}],
    "gsm8k": lambda a, b, _: [{"question": TOPICS["math"].format(a=a, b=b), "answer": f"Add them. #### {a + b}"}],
    "ifeval": lambda a, b, _: [{
        "prompt": TOPICS["instruction_following"].format(a=a, b=b), "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}],
    }],
    "gpqa": lambda a, b, _: [{
        "Question": TOPICS["science"].format(a=a, b=b), "Correct Answer": str(a + b),
        **{f"Incorrect Answer {number}": str(a + b + number) for number in (1, 2, 3)},
    }],
    "mmlu": _mmlu,
    "livecodebench": _livecodebench,
}  # fmt: skip
"""By adapter, the rows of one problem in the published columns."""
