"""LiveCodeBench: programming problems of contests in a window of months, with their tests.

``livecodebench-2408-2501`` takes the contests from August 2024 to January 2025, both included. The papers use that window and
2410-2502.
"""

import base64
import io
import json
import pickle
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from stillhouse.benchmarks.adapters import DatasetRow, question
from stillhouse.errors import BadRows
from stillhouse.vocabulary.rows import Question

Window = tuple[str, str]
"""First and last month, as ``2024-08``."""

_NAME = re.compile(r"livecodebench-(\d\d)(0[1-9]|1[0-2])-(\d\d)(0[1-9]|1[0-2])")
STDIN = "Write a Python program that reads standard input and writes standard output."
STARTER = "Complete this Python code:\n```python\n{}\n```"


def window(name: str) -> Window | None:
    """The months of ``livecodebench-YYMM-YYMM``; None for another name, or a window that ends before it begins."""
    found = _NAME.fullmatch(name)
    months = (f"20{found[1]}-{found[2]}", f"20{found[3]}-{found[4]}") if found else None
    return months if months and months[0] <= months[1] else None


def questions(rows: Iterable[DatasetRow], source: str, window: Window) -> Iterator[Question]:
    """``question_content``, ``starter_code``, ``contest_date``, ``public_test_cases``, ``private_test_cases``, ``metadata``."""
    for row in rows:
        if window[0] <= str(row["contest_date"])[:7] <= window[1]:
            starter = row["starter_code"].strip()
            task = STARTER.format(starter) if starter else STDIN
            cases = json.dumps(_tests(row))
            yield question(f"{row['question_content'].strip()}\n\n{task}", source, category="code", test_cases=cases)


def _tests(row: DatasetRow) -> dict[str, Any]:
    """The tests in the form of ``rows``: programs by input and output, methods by assertions."""
    cases = [*json.loads(row["public_test_cases"]), *_private(row["private_test_cases"])]
    if not cases:
        msg = f"LiveCodeBench: a problem has no tests: {row['question_content'][:80]!r}; is the file whole?"
        raise BadRows(msg)
    made: dict[str, Any] = {"fn_name": None, "inputs": [], "outputs": [], "assert_case": [], "language": "python"}
    if cases[0]["testtype"] == "stdin":
        inputs, outputs = [case["input"] for case in cases], [case["output"] for case in cases]
        return made | {"call_type": "std", "inputs": inputs, "outputs": outputs}
    name = json.loads(row["metadata"])["func_name"]
    return made | {"call_type": "assert", "fn_name": name, "assert_case": [_assertion(name, case) for case in cases]}


def _assertion(name: str, case: dict[str, str]) -> str:
    """A call of the method, an argument to a line of the input."""
    arguments = ", ".join(repr(json.loads(line)) for line in case["input"].splitlines() if line.strip())
    return f"assert Solution().{name}({arguments}) == {json.loads(case['output'])!r}"


def _private(text: str) -> list[dict[str, str]]:
    """JSON, or JSON that was pickled, compressed and written in base64, as most of the published rows have it."""
    try:
        found = json.loads(text)
    except ValueError:
        found = json.loads(_Texts(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())
    return list(found)


class _Texts(pickle.Unpickler):
    """Reads a pickle of text and refuses one that would load code."""

    def find_class(self, module: str, name: str) -> Any:
        msg = f"LiveCodeBench: the tests of a problem would load {module}.{name}: they are not what is published; do not use them"
        raise BadRows(msg)
