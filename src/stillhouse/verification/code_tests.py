"""The ``test_cases`` of a code question, read and checked; and what counts as the expected output."""

import json
import math
from dataclasses import dataclass
from typing import Any

from stillhouse.verification.sandbox.limits import Limits

LANGUAGES = ("python", "cpp")
FIRST_TESTS = 10
"""Tests of a question that are run (DeepDistill §2.4.1): the first ten."""


class BadTests(ValueError):
    """The question's tests cannot be run; the message says why."""


@dataclass(frozen=True)
class Tests:
    """The tests of one question, at most FIRST_TESTS. Either ``inputs`` and ``outputs`` pair up, or there are ``assertions``.

    ``tolerance``: how far numbers may be off, absolutely or relative to the expected one, where the tests declare it.
    """

    language: str
    fn_name: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    assertions: tuple[str, ...]
    tolerance: float | None
    limits: Limits

    @property
    def count(self) -> int:
        """How many there are to pass."""
        return len(self.inputs) or len(self.assertions)


def read(text: str | None) -> Tests:
    """Tests from their JSON: the keys of the contract, and optionally ``tolerance``, ``time_limit_s``, ``memory_limit_mib``.

    Raises BadTests.
    """
    given = _object(text)
    language, call_type, fn_name = given.get("language") or "python", given.get("call_type") or "std", given.get("fn_name")
    if language not in LANGUAGES:
        msg = f"tests are for language {language!r}; only {', '.join(LANGUAGES)} can be run"
        raise BadTests(msg)
    if fn_name is not None and (not isinstance(fn_name, str) or not fn_name.isidentifier()):
        msg = f"fn_name {fn_name!r} is no name of a function"
        raise BadTests(msg)
    if language == "cpp" and (call_type == "assert" or fn_name):
        msg = "C++ is tested by standard input and output; these tests call functions"
        raise BadTests(msg)
    inputs, outputs, assertions = _by_type(call_type, given)
    return Tests(language, fn_name, inputs, outputs, assertions, _number(given, "tolerance"), _limits(given))


def _object(text: str | None) -> dict[str, Any]:
    try:
        given = json.loads(text or "")
    except (ValueError, RecursionError) as error:
        msg = f"test_cases are no JSON ({error})" if text else "the question has no test_cases"
        raise BadTests(msg) from error
    if not isinstance(given, dict):
        msg = f"test_cases are a JSON {type(given).__name__}, not an object"
        raise BadTests(msg)
    return given


def _by_type(call_type: Any, given: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Inputs, outputs and assertions, those that the type has."""
    if call_type not in ("std", "assert"):
        msg = f"call_type {call_type!r} is neither std nor assert"
        raise BadTests(msg)
    assertions = _texts(given, "assert_case") if call_type == "assert" else ()
    inputs, outputs = (_texts(given, "inputs"), _texts(given, "outputs")) if call_type == "std" else ((), ())
    if len(inputs) != len(outputs):
        msg = f"{len(inputs)} inputs and {len(outputs)} outputs do not pair up"
        raise BadTests(msg)
    if not inputs and not assertions:
        msg = f"no tests of call_type {call_type}"
        raise BadTests(msg)
    return inputs[:FIRST_TESTS], outputs[:FIRST_TESTS], assertions[:FIRST_TESTS]


def _texts(given: dict[str, Any], name: str) -> tuple[str, ...]:
    found = given.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        msg = f"{name} is no list of strings"
        raise BadTests(msg)
    return tuple(found)


def _number(given: dict[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        msg = f"{name} {value!r} is no number from 0"
        raise BadTests(msg)
    return float(value)


def _limits(given: dict[str, Any]) -> Limits:
    """The question's own limits, or the defaults. A program that sleeps gets twice its processor time and a second more."""
    default = Limits()
    cpu_s = _number(given, "time_limit_s") or default.cpu_s
    memory = _number(given, "memory_limit_mib")
    return Limits(
        cpu_s=cpu_s, wall_s=2 * cpu_s + 1, memory_bytes=default.memory_bytes if memory is None else int(memory * 1024 * 1024)
    )


def same_output(got: str, expected: str, tolerance: float | None) -> bool:
    """Line by line, without trailing white space and trailing empty lines; numbers within the tolerance where one is declared."""
    mine, theirs = _lines(got), _lines(expected)
    if mine == theirs:
        return True
    if tolerance is None or len(mine) != len(theirs):
        return False
    return all(_same_words(*each, tolerance) for each in zip(mine, theirs, strict=True))


def same_value(got: Any, expected: Any, tolerance: float | None) -> bool:
    """Two values of JSON; numbers in them within the tolerance where one is declared."""
    if isinstance(got, list) and isinstance(expected, list):
        return len(got) == len(expected) and all(same_value(*each, tolerance) for each in zip(got, expected, strict=True))
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


def _same_words(mine: str, theirs: str, tolerance: float) -> bool:
    got, expected = mine.split(), theirs.split()
    return len(got) == len(expected) and all(_same_word(*each, tolerance) for each in zip(got, expected, strict=True))


def _same_word(got: str, expected: str, tolerance: float) -> bool:
    if got == expected:
        return True
    try:
        return _close(float(got), float(expected), tolerance)
    except ValueError:
        return False


def _close(got: float, expected: float, tolerance: float) -> bool:
    return math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
