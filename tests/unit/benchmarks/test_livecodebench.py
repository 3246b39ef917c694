import base64
import json
import os
import pickle
import zlib

import pytest

from stillhouse.benchmarks import livecodebench
from stillhouse.benchmarks.adapters import DatasetRow
from stillhouse.errors import BadConfig, BadRows

STDIN = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
METHOD = [{"input": '[1, 2]\n"a"', "output": "true", "testtype": "functional"}]


def packed(cases):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


def row(date="2024-09-01T00:00:00", public=STDIN, private=None, starter="", **changes):
    columns = {
        "question_content": "Add two numbers.", "starter_code": starter, "contest_date": date,
        "public_test_cases": json.dumps(public), "private_test_cases": packed(STDIN) if private is None else private,
        "metadata": json.dumps({"func_name": "solve"}),
    }  # fmt: skip
    return DatasetRow(columns | changes)


def asked(*rows):
    return list(livecodebench.questions(rows, "livecodebench-2408-2501"))


@pytest.mark.parametrize(
    ("date", "inside"),
    [
        ("2024-07-31T00:00:00", False),
        ("2024-08-01T00:00:00", True),
        ("2025-01-31T00:00:00", True),
        ("2025-02-01T00:00:00", False),
    ],
)
def test_questions_are_those_of_the_window(date, inside):
    assert len(asked(row(date))) == inside


def test_questions_on_standard_input_have_public_and_private_tests():
    (made,) = asked(row())
    assert made.category == "code"
    assert made.messages[0]["content"].endswith("reads standard input and writes standard output.")
    cases = json.loads(made.test_cases)
    assert (cases["call_type"], cases["inputs"], cases["outputs"]) == ("std", ["1 2\n"] * 2, ["3\n"] * 2)
    assert cases["compare"] == "livecodebench"


def test_questions_of_a_method_are_calls_with_arguments_of_json_on_the_starter_code():
    starter = "class Solution:\n    def solve(self, a, b):\n        "
    (made,) = asked(row(public=METHOD, private=json.dumps(METHOD), starter=starter))
    assert "def solve(self, a, b):" in made.messages[0]["content"]
    cases = json.loads(made.test_cases)
    assert (cases["call_type"], cases["fn_name"], cases["compare"]) == ("std", "solve", "livecodebench")
    assert (cases["inputs"], cases["outputs"]) == (['[1, 2]\n"a"'] * 2, ["true"] * 2)


def test_questions_whose_tests_would_load_code_are_refused():
    class Nasty:
        def __reduce__(self):
            return os.mkdir, ("/tmp/never",)

    nasty = base64.b64encode(zlib.compress(pickle.dumps(Nasty()))).decode()
    with pytest.raises(BadRows, match=r"loads posix\.mkdir"):
        asked(row(private=nasty))


def test_questions_without_tests_are_refused():
    with pytest.raises(BadRows, match="has no tests"):
        asked(row(public=[], private="[]"))


def test_questions_without_a_window_are_refused():
    with pytest.raises(BadConfig, match="expected a window of months, got 'livecodebench'"):
        list(livecodebench.questions([row()], "livecodebench"))
