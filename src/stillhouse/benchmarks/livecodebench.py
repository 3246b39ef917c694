"""LiveCodeBench: programming problems from the contests in a window of months, with their tests.

``livecodebench-2408-2501`` takes the contests from August 2024 through January 2025. The papers use that window and 2410-2502.
"""

import base64
import io
import json
import pickle
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from stillhouse.benchmarks.adapters import DatasetRow, question
from stillhouse.benchmarks.definitions import livecodebench_window
from stillhouse.errors import BadConfig, BadRows
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.text import shortened

STDIN = "Write a Python program that reads standard input and writes standard output."
STARTER = "Complete this Python code:\n```python\n{}\n```"


def questions(rows: Iterable[DatasetRow], source: str) -> Iterator[Question]:
    """``question_content``, ``starter_code``, ``contest_date``, ``public_test_cases``, ``private_test_cases``, ``metadata``.

    ``source`` is the benchmark's bare name, with its window. Raises BadConfig if it names no window.
    """
    window = livecodebench_window(source)
    if window is None:
        msg = f"LiveCodeBench: expected a window of months, got {source!r}; write livecodebench-YYMM-YYMM"
        raise BadConfig(msg)
    for row in rows:
        if window[0] <= str(row["contest_date"])[:7] <= window[1]:
            starter = row["starter_code"].strip()
            task = STARTER.format(starter) if starter else STDIN
            cases = json.dumps(_tests(row))
            yield question(f"{row['question_content'].strip()}\n\n{task}", source, category="code", test_cases=cases)


def _tests(row: DatasetRow) -> dict[str, Any]:
    """The tests as ``test_cases`` of a question, judged as LiveCodeBench does: programs by output, methods by value."""
    cases = [*json.loads(row["public_test_cases"]), *_private(row["private_test_cases"])]
    if not cases:
        msg = f"LiveCodeBench: a problem has no tests: {shortened(row['question_content'], 80)!r}; is the file whole?"
        raise BadRows(msg)
    tests: dict[str, Any] = {"fn_name": None, "inputs": [], "outputs": [], "assert_case": [], "language": "python"}
    name = None if cases[0]["testtype"] == "stdin" else json.loads(row["metadata"])["func_name"]
    inputs, outputs = [case["input"] for case in cases], [case["output"] for case in cases]
    return tests | {"call_type": "std", "fn_name": name, "inputs": inputs, "outputs": outputs, "compare": "livecodebench"}


def _private(text: str) -> list[dict[str, str]]:
    """Parse JSON, or JSON that was pickled, compressed and encoded in base64, as in most of the published rows."""
    try:
        cases = json.loads(text)
    except ValueError:
        cases = json.loads(_Texts(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())
    return list(cases)


class _Texts(pickle.Unpickler):
    """Reads a pickled string; refuses a pickle that would load code."""

    def find_class(self, module: str, name: str) -> Any:
        msg = (
            f"LiveCodeBench: a problem's tests are a pickle that loads {module}.{name}; the published ones do not: do not use them"
        )
        raise BadRows(msg)
