"""Tests of code questions, in the forms that data sets publish -> ``test_cases``.

Read as they are: lists of assertions (MBPP), Python code (KodCode, HumanEval, LeetCodeDataset), inputs and outputs as two lists
(APPS, TACO, CodeContests) or as pairs (LiveCodeBench). Pickled tests are never loaded.
"""

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from stillhouse.exchange.record import Unfit

_PYTEST = re.compile(r"^\s*(?:async\s+)?def test_|^\s*class \w+\(.*TestCase\)|^import pytest|^from solution import", re.MULTILINE)
_CHECK = re.compile(r"^def check\(", re.MULTILINE)
_IS_CALLED = re.compile(r"^check\(", re.MULTILINE)


def normalised_tests(path: str, value: Any, function: str | None = None, setup: str = "") -> str | None:
    """The tests as the JSON of ``test_cases``; None if there are none. Raises Unfit for another form, naming the path."""
    if isinstance(value, str):
        loaded = _loaded(value)
        if loaded is None:
            return from_code(_with_setup(setup, value, function), function) if value.strip() else None
        if isinstance(loaded, dict) and "call_type" in loaded:
            return value
        value = loaded
    if isinstance(value, dict):
        return _from_object(path, value, function, setup)
    if isinstance(value, list):
        return _from_list(path, value, function, setup)
    msg = f"{path}: {type(value).__name__}; tests are JSON, a list of assertions or pairs, or Python code"
    raise Unfit(msg, "bad_type")


def from_code(code: str, function: str | None) -> str:
    """Tests that are Python code: run as they stand, by pytest if they are written for it, or by calling ``check``."""
    if _PYTEST.search(code):
        return _dumped("pytest", function, assert_case=[code])
    if function and _CHECK.search(code) and not _IS_CALLED.search(code):
        code += _call(function)
    return _dumped("assert", function, assert_case=[code])


def original_code(tests: dict[str, Any], as_json: str) -> str | None:
    """The code that ``from_code`` would make these tests of; None for other tests."""
    cases, function = tests.get("assert_case"), entry_point(tests)
    if not isinstance(cases, list) or len(cases) != 1 or not isinstance(cases[0], str):
        return None
    codes = (cases[0], cases[0].removesuffix(_call(function)))
    return next((code for code in codes if from_code(code, function) == as_json), None)


def entry_point(tests: dict[str, Any]) -> str | None:
    """What the tests call: a function, or an expression such as ``Solution().add``."""
    called: str | None = tests.get("entry_point", tests.get("fn_name"))
    return called


def _call(function: str | None) -> str:
    return f"\n\ncheck({function})\n"


def beside(code: str, function: str) -> str:
    """The imports, classes and functions of a prompt's code, without the function to complete. Raises SyntaxError."""
    kept = [node for node in ast.parse(code).body if not (isinstance(node, ast.FunctionDef) and node.name == function)]
    return "\n".join(map(ast.unparse, kept))


def _with_setup(setup: str, test: str, function: str | None) -> str:
    """The test after its setup, from which the function to complete is left out: it would take the answer's place."""
    if not setup.strip():
        return test
    try:
        return f"{beside(setup, function) if function else setup}\n{test}"
    except SyntaxError:
        return f"{setup}\n{test}"


def _loaded(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _from_object(path: str, tests: dict[str, Any], function: str | None, setup: str) -> str | None:
    if "call_type" in tests:
        return json.dumps(tests, ensure_ascii=False)
    if isinstance(tests.get("test_code"), str):
        return from_code(tests["test_code"], tests.get("test_entry_point") or function)
    if isinstance(tests.get("assert_case"), list):
        return _asserted(tests["assert_case"], tests.get("fn_name") or function, setup)
    for inputs, outputs in (("inputs", "outputs"), ("input", "output")):
        if isinstance(tests.get(inputs), list) and isinstance(tests.get(outputs), list):
            return _paired(path, tests[inputs], tests[outputs], tests.get("fn_name") or function)
    msg = f"{path}: tests with the keys {', '.join(tests) or 'none'}; expected inputs and outputs, or test_code"
    raise Unfit(msg)


def _from_list(path: str, tests: list[Any], function: str | None, setup: str) -> str | None:
    if not tests:
        return None
    if all(isinstance(test, str) for test in tests):
        return _asserted(tests, function, setup)
    if all(isinstance(test, dict) and "input" in test and "output" in test for test in tests):
        name = next((test["fn_name"] for test in tests if test.get("fn_name")), function)
        is_called = any(test.get("testtype") == "functional" or test.get("fn_name") for test in tests)
        return _paired(path, [test["input"] for test in tests], [test["output"] for test in tests], name if is_called else None)
    msg = f"{path}: a list of {type(tests[0]).__name__}; expected assertions, or objects of input and output"
    raise Unfit(msg)


def _asserted(assertions: Sequence[Any], function: str | None, setup: str) -> str | None:
    cases = [_with_setup(setup, text, function) for text in assertions if isinstance(text, str) and text.strip()]
    return _dumped("assert", function, assert_case=cases) if cases else None


def _paired(path: str, inputs: Sequence[Any], outputs: Sequence[Any], function: str | None) -> str | None:
    if len(inputs) != len(outputs):
        msg = f"{path}: {len(inputs)} inputs and {len(outputs)} outputs do not pair up"
        raise Unfit(msg)
    if not inputs:
        return None
    if function:
        return _dumped("std", function, list(map(_arguments, inputs)), list(map(_result, outputs)))
    return _dumped("std", None, list(map(_lines, inputs)), list(map(_lines, outputs)))


def _arguments(value: Any) -> str:
    """The arguments of one call, one JSON value per line; a text has that form already."""
    return "\n".join(json.dumps(argument) for argument in value) if isinstance(value, list) else _lines(value)


def _result(value: Any) -> str:
    """The result of one call as JSON. APPS and TACO put it into a list of one."""
    if isinstance(value, str):
        return value
    return json.dumps(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _lines(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _dumped(
    call_type: str, function: str | None, inputs: Sequence[str] = (), outputs: Sequence[str] = (), assert_case: Sequence[str] = ()
) -> str:  # fmt: skip
    is_name = function is None or function.isidentifier()
    values = {
        "call_type": call_type, "fn_name": function if is_name else None, "inputs": list(inputs), "outputs": list(outputs),
        "assert_case": list(assert_case), "language": "python",
    }  # fmt: skip
    return json.dumps(values if is_name else {**values, "entry_point": function}, ensure_ascii=False)
