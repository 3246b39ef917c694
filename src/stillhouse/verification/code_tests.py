"""Reads and checks the ``test_cases`` of a code question."""

import ast
import json
import math
from dataclasses import dataclass
from typing import Any, get_args

from stillhouse.verification.assertions import Assertion, RunsNothing, parsed
from stillhouse.verification.output_comparison import Comparison
from stillhouse.verification.sandbox.limits import Limits

LANGUAGES = ("python", "cpp")
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)
FIRST_TESTS = 10
"""Only the first ten tests of a question are run (DeepDistill §2.4.1)."""


class BadTests(ValueError):
    """The question's tests cannot be run; the message says why."""


@dataclass(frozen=True)
class TestSuite:
    """The tests of one question, at most FIRST_TESTS: either pairs of ``inputs`` and ``outputs``, or ``assertions``.

    ``tolerance``: how far numbers may be off, absolutely or relative to the expected one, if the tests declare it. ``checker``:
    Python that defines ``check(stdin, stdout, expected)``, for questions with several right answers; empty if outputs are compared.
    """

    __test__ = False  # not a test class of pytest's

    language: str
    fn_name: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    assertions: tuple[Assertion, ...]
    tolerance: float | None
    comparison: Comparison
    checker: str
    limits: Limits

    @property
    def count(self) -> int:
        """The number of tests."""
        return len(self.inputs) or len(self.assertions)


def read(text: str | None) -> TestSuite:
    """Tests from their JSON: the keys of the contract, and the optional ones.

    These are ``tolerance``, ``time_limit_s``, ``memory_limit_mib``, ``compare`` (a Comparison) and ``checker``. Raises BadTests.
    """
    fields = _object(text)
    language, call_type, fn_name = fields.get("language") or "python", fields.get("call_type") or "std", fields.get("fn_name")
    if language not in LANGUAGES:
        msg = f"tests are for language {language!r}; only {', '.join(LANGUAGES)} can be run"
        raise BadTests(msg)
    if fn_name is not None and (not isinstance(fn_name, str) or not fn_name.isidentifier()):
        msg = f"fn_name {fn_name!r} is not the name of a function"
        raise BadTests(msg)
    if language == "cpp" and (call_type in ("assert", "pytest") or fn_name):
        msg = "C++ is tested by standard input and output; these tests call functions"
        raise BadTests(msg)
    inputs, outputs, assertions = _by_type(call_type, fields, fn_name)
    return TestSuite(
        language, fn_name, inputs, outputs, assertions, _number(fields, "tolerance"), _comparison(fields), _checker(fields),
        _limits(fields),
    )  # fmt: skip


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


def _by_type(
    call_type: Any, fields: dict[str, Any], fn_name: str | None
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Assertion, ...]]:
    """Inputs, outputs and assertions; the type has either the first two or the last."""
    if call_type not in ("std", "assert", "pytest"):
        msg = f"call_type {call_type!r} is none of std, assert, pytest"
        raise BadTests(msg)
    sources = _texts(fields, "assert_case") if call_type != "std" else ()
    inputs, outputs = (_texts(fields, "inputs"), _texts(fields, "outputs")) if call_type == "std" else ((), ())
    if len(inputs) != len(outputs):
        msg = f"{len(inputs)} inputs and {len(outputs)} outputs do not pair up"
        raise BadTests(msg)
    if not inputs and not sources:
        msg = f"no tests of call_type {call_type}"
        raise BadTests(msg)
    assertions = tuple(
        _assertion(number, source, fn_name, collect=call_type == "pytest")
        for number, source in enumerate(sources[:FIRST_TESTS], start=1)
    )
    return inputs[:FIRST_TESTS], outputs[:FIRST_TESTS], assertions


def _assertion(number: int, source: str, fn_name: str | None, *, collect: bool) -> Assertion:
    try:
        return parsed(source, fn_name, collect=collect)
    except RunsNothing as error:
        msg = f"assert_case {number}: {error}"
        raise BadTests(msg) from error


def _comparison(fields: dict[str, Any]) -> Comparison:
    name: Comparison = fields.get("compare") or "lines"
    if name not in COMPARISONS:
        msg = f"compare {name!r} is none of {', '.join(COMPARISONS)}"
        raise BadTests(msg)
    return name


def _checker(fields: dict[str, Any]) -> str:
    """The source of the checker. Raises BadTests if it defines no ``check``."""
    source = fields.get("checker") or ""
    if not source:
        return ""
    try:
        names = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    except (SyntaxError, ValueError, TypeError, RecursionError) as error:
        msg = f"the checker is not Python ({type(error).__name__}: {error})"
        raise BadTests(msg) from error
    if "check" not in names:
        msg = "the checker defines no function check(stdin, stdout, expected)"
        raise BadTests(msg)
    return str(source)


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
