import json

import pytest

from stillhouse.verification import code_tests
from stillhouse.verification.code_tests import BadTests, same_output, same_value


def std(**changes):
    return json.dumps({"call_type": "std", "inputs": ["1"], "outputs": ["2"], "language": "python"} | changes)


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
        (std(call_type="io"), "call_type 'io' is neither"),
        (std(call_type="assert"), "no tests of call_type assert"),
        (std(outputs=[]), "1 inputs and 0 outputs"),
        (std(inputs=[1]), "inputs is not a list of strings"),
        (std(inputs="1"), "inputs is not a list of strings"),
        (std(fn_name="f(); import os"), "not the name of a function"),
        (std(fn_name=["f"]), "not the name of a function"),
        (std(language="cpp", fn_name="f"), "C\\+\\+ is tested by standard input"),
        (std(language="cpp", call_type="assert", assert_case=["assert 1"]), "C\\+\\+ is tested by standard input"),
        (std(tolerance="small"), "tolerance 'small' is not a finite number"),
        (std(tolerance=float("inf")), "tolerance inf is not a finite number"),
        (std(time_limit_s=-1), "time_limit_s -1 is not a finite number"),
        (std(memory_limit_mib=True), "memory_limit_mib True is not a finite number"),
    ],
)
def test_read_tests_that_cannot_be_run_are_refused_by_what_is_wrong(text, said):
    with pytest.raises(BadTests, match=said):
        code_tests.read(text)


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "same"),
    [
        ("1 2\n", "1 2", None, True),
        ("1 2  \n\n\n", "1 2\n", None, True),
        ("1\r\n2\r\n", "1\n2\n", None, True),
        ("", "\n", None, True),
        (" 1", "1", None, False),
        ("1  2", "1 2", None, False),
        ("1\n\n2", "1\n2", None, False),
        ("yes", "Yes", None, False),
        ("1.0000001", "1.0", None, False),
        ("1.0000001", "1.0", 1e-6, True),
        ("1.01", "1.0", 1e-6, False),
        ("1e9", "1000000001", 1e-6, True),
        ("a 1.0", "a  1", 1e-6, True),
        ("b 1.0", "a 1", 1e-6, False),
        ("1 2", "1", 1e-6, False),
        ("nan", "1", 1e-6, False),
    ],
)
def test_same_output_forgives_what_judges_forgive(got, expected, tolerance, same):
    assert same_output(got, expected, tolerance) is same


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "same"),
    [
        ([1, [2]], [1, [2]], None, True),
        ([1, [2]], [1, [3]], None, False),
        ([1], [1, 2], 1e-6, False),
        ({"a": 0.1}, {"a": 0.1000000001}, 1e-6, True),
        ({"a": 0.1}, {"b": 0.1}, 1e-6, False),
        (0.1, 0.1000000001, None, False),
        ("1", 1, None, False),
        (None, None, None, True),
    ],
)
def test_same_value_compares_json(got, expected, tolerance, same):
    assert same_value(got, expected, tolerance) is same
