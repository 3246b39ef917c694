import json

import pytest

from stillhouse.verification import code_tests
from stillhouse.verification.code_tests import BadTests


def std(**changes):
    return json.dumps({"call_type": "std", "inputs": ["1"], "outputs": ["2"], "language": "python"} | changes)


def asserted(*sources, **changes):
    return json.dumps({"call_type": "assert", "assert_case": list(sources)} | changes)


def test_read_standard_tests_pair_inputs_with_outputs():
    tests = code_tests.read(std(fn_name="f", tolerance=1e-6, time_limit_s=2, memory_limit_mib=256))
    assert (tests.inputs, tests.outputs, tests.assertions, tests.fn_name, tests.count) == (("1",), ("2",), (), "f", 1)
    assert (tests.tolerance, tests.limits.cpu_s, tests.limits.wall_s, tests.limits.memory_bytes) == (1e-6, 2, 5, 256 << 20)


def test_read_takes_the_first_ten():
    assert code_tests.read(std(inputs=["1"] * 25, outputs=["2"] * 25)).count == 10
    assert code_tests.read(json.dumps({"call_type": "assert", "assert_case": ["assert f()"] * 25})).count == 10


def test_read_without_language_and_call_type_is_python_by_standard_input():
    tests = code_tests.read(json.dumps({"inputs": ["1"], "outputs": ["2"], "fn_name": None, "assert_case": []}))
    assert (tests.language, tests.count, tests.tolerance) == ("python", 1, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no test_cases"),
        ("", "no test_cases"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "a JSON list, not an object"),
        ("{}", "no tests of call_type std"),
        (std(language="java"), "'java'; only python, cpp"),
        (std(call_type="io"), "call_type 'io' is none of std, assert, pytest"),
        (std(call_type="assert"), "no tests of call_type assert"),
        (std(outputs=[]), "1 inputs and 0 outputs"),
        (std(inputs=[1]), "inputs is not a list of strings"),
        (std(inputs="1"), "inputs is not a list of strings"),
        (std(fn_name="f(); import os"), "not the name of a function"),
        (std(fn_name=["f"]), "not the name of a function"),
        (std(language="cpp", fn_name="f"), "C\\+\\+ is tested by standard input"),
        (std(language="cpp", call_type="assert", assert_case=["assert 1"]), "C\\+\\+ is tested by standard input"),
        (std(language="cpp", call_type="pytest", assert_case=["def test_a(): pass"]), "C\\+\\+ is tested by standard input"),
        (std(compare="approximately"), "compare 'approximately' is none of lines, tokens, tokens_any_case, livecodebench"),
        (std(checker="def judge(): pass"), "defines no function check"),
        (std(checker="def check(:"), "the checker is not Python"),
        (asserted("assert f(1 =="), "assert_case 1: the test is not Python"),
        (asserted("assert f(1) == 2", "# assert f(1) == 2"), "assert_case 2: the test runs nothing"),
        (asserted("import math\nx = 3"), "assert_case 1: the test runs nothing"),
        (asserted("def check(candidate):\n    assert candidate(1) == 2"), "only defines check and calls nothing"),
        (asserted("x = 3", call_type="pytest"), "runs nothing"),
        (asserted("assert f(1) == 2", call_type="assertion"), "call_type 'assertion' is none of"),
        (std(tolerance="small"), "tolerance 'small' is not a finite number"),
        (std(tolerance=float("inf")), "tolerance inf is not a finite number"),
        (std(time_limit_s=-1), "time_limit_s -1 is not a finite number"),
        (std(memory_limit_mib=True), "memory_limit_mib True is not a finite number"),
    ],
)
def test_read_tests_that_cannot_be_run_are_refused_by_what_is_wrong(text, said):
    with pytest.raises(BadTests, match=said):
        code_tests.read(text)


def test_read_comparison_and_checker_are_taken_from_the_tests():
    tests = code_tests.read(std(compare="tokens", checker="def check(stdin, stdout, expected):\n    return True"))
    assert (tests.comparison, tests.checker.splitlines()[0]) == ("tokens", "def check(stdin, stdout, expected):")
    assert (code_tests.read(std()).comparison, code_tests.read(std()).checker) == ("lines", "")


def test_read_checking_function_is_called_with_the_function_that_is_named():
    (assertion,) = code_tests.read(asserted("def check(candidate):\n    assert candidate(1) == 2", fn_name="f")).assertions
    assert assertion.source.endswith("\ncheck(f)\n")
