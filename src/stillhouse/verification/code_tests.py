"""Reads and checks the ``test_cases`` of a code question, and compares a program's output with the expected one."""

import json
import math
from dataclasses import dataclass
from typing import Any

from stillhouse.verification.sandbox.limits import Limits

LANGUAGES = ("python", "cpp")
FIRST_TESTS = 10
"""Only the first ten tests of a question are run (DeepDistill §2.4.1)."""


class BadTests(ValueError):
    """The question's tests cannot be run; the message says why."""


@dataclass(frozen=True)
class TestSuite:
    """The tests of one question, at most FIRST_TESTS: either pairs of ``inputs`` and ``outputs``, or ``assertions``.

    ``tolerance``: how far numbers may be off, absolutely or relative to the expected one, if the tests declare it.
    """

    __test__ = False  # not a test class of pytest's

    language: str
    fn_name: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    assertions: tuple[str, ...]
    tolerance: float | None
    limits: Limits

    @property
    def count(self) -> int:
        """The number of tests."""
        return len(self.inputs) or len(self.assertions)


def read(text: str | None) -> TestSuite:
    """Tests from their JSON: the keys of the contract, and optionally ``tolerance``, ``time_limit_s``, ``memory_limit_mib``.

    Raises BadTests.
    """
    fields = _object(text)
    language, call_type, fn_name = fields.get("language") or "python", fields.get("call_type") or "std", fields.get("fn_name")
    if language not in LANGUAGES:
        msg = f"tests are for language {language!r}; only {', '.join(LANGUAGES)} can be run"
        raise BadTests(msg)
    if fn_name is not None and (not isinstance(fn_name, str) or not fn_name.isidentifier()):
        msg = f"fn_name {fn_name!r} is not the name of a function"
        raise BadTests(msg)
    if language == "cpp" and (call_type == "assert" or fn_name):
        msg = "C++ is tested by standard input and output; these tests call functions"
        raise BadTests(msg)
    inputs, outputs, assertions = _by_type(call_type, fields)
    return TestSuite(language, fn_name, inputs, outputs, assertions, _number(fields, "tolerance"), _limits(fields))


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError) as error:
        msg = f"test_cases are not JSON ({error})" if text else "the question has no test_cases"
        raise BadTests(msg) from error
    if not isinstance(value, dict):
        msg = f"test_cases are a JSON {type(value).__name__}, not an object"
        raise BadTests(msg)
    return value


def _by_type(call_type: Any, fields: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Inputs, outputs and assertions; the type has either the first two or the last."""
    if call_type not in ("std", "assert"):
        msg = f"call_type {call_type!r} is neither std nor assert"
        raise BadTests(msg)
    assertions = _texts(fields, "assert_case") if call_type == "assert" else ()
    inputs, outputs = (_texts(fields, "inputs"), _texts(fields, "outputs")) if call_type == "std" else ((), ())
    if len(inputs) != len(outputs):
        msg = f"{len(inputs)} inputs and {len(outputs)} outputs do not pair up"
        raise BadTests(msg)
    if not inputs and not assertions:
        msg = f"no tests of call_type {call_type}"
        raise BadTests(msg)
    return inputs[:FIRST_TESTS], outputs[:FIRST_TESTS], assertions[:FIRST_TESTS]


def _texts(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    texts = fields.get(name) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        msg = f"{name} is not a list of strings"
        raise BadTests(msg)
    return tuple(texts)


def _number(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        msg = f"{name} {value!r} is not a finite number of at least 0"
        raise BadTests(msg)
    return float(value)


def _limits(fields: dict[str, Any]) -> Limits:
    """The question's own limits, or the defaults. Wall time is twice the processor time plus a second, for programs that sleep."""
    default = Limits()
    cpu_s = _number(fields, "time_limit_s") or default.cpu_s
    memory = _number(fields, "memory_limit_mib")
    return Limits(
        cpu_s=cpu_s, wall_s=2 * cpu_s + 1, memory_bytes=default.memory_bytes if memory is None else int(memory * 1024 * 1024)
    )


def same_output(got: str, expected: str, tolerance: float | None) -> bool:
    """Compare line by line, ignoring trailing white space and empty lines; numbers within the tolerance, if there is one."""
    got_lines, expected_lines = _lines(got), _lines(expected)
    if got_lines == expected_lines:
        return True
    if tolerance is None or len(got_lines) != len(expected_lines):
        return False
    return all(_same_words(*lines, tolerance) for lines in zip(got_lines, expected_lines, strict=True))


def same_value(got: Any, expected: Any, tolerance: float | None) -> bool:
    """Compare two JSON values; numbers within the tolerance, if there is one."""
    if isinstance(got, list) and isinstance(expected, list):
        return len(got) == len(expected) and all(same_value(*pair, tolerance) for pair in zip(got, expected, strict=True))
    if isinstance(got, dict) and isinstance(expected, dict):
        return got.keys() == expected.keys() and all(same_value(got[key], expected[key], tolerance) for key in got)
    if tolerance is not None and isinstance(got, int | float) and isinstance(expected, int | float):
        return _close(got, expected, tolerance)
    return bool(got == expected)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_words(got_line: str, expected_line: str, tolerance: float) -> bool:
    got, expected = got_line.split(), expected_line.split()
    return len(got) == len(expected) and all(_same_word(*pair, tolerance) for pair in zip(got, expected, strict=True))


def _same_word(got: str, expected: str, tolerance: float) -> bool:
    if got == expected:
        return True
    try:
        return _close(float(got), float(expected), tolerance)
    except ValueError:
        return False


def _close(got: float, expected: float, tolerance: float) -> bool:
    return math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
