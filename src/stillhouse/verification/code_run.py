"""One program against the tests of its question: a result for each."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from stillhouse.verification import output_comparison
from stillhouse.verification.assertions import Assertion, tops
from stillhouse.verification.code_blocks import Block
from stillhouse.verification.code_tests import BadTests, TestSuite
from stillhouse.verification.sandbox.libraries import NAMES
from stillhouse.verification.sandbox.run_outcome import Outcome
from stillhouse.verification.sandbox.runner import Sandbox, TestOptions
from stillhouse.verification.verdict import DETAIL_CHARS
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.text import shortened

PASSED, WRONG_OUTPUT, NOT_RUN = "passed", "wrong_output", "not run"
TIME_LIMITS = 2
"""After so many tests that reach a time limit the rest are not run: the program would be cut in them too."""

_CALL = """
import json, sys
def _values(value):
    return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
_arguments = [json.loads(line) for line in sys.stdin.read().split("\\n") if line.strip()]
try:
    _solution = Solution()
except NameError:
    _function = {name}
else:
    _function = _solution.{name}
_result = _function(*_arguments)
_unordered = isinstance(_result, (set, frozenset))
print(json.dumps({{"result": _result, "first": _arguments[:1], "unordered": _unordered}}, default=_values))
"""
"""One call with arguments in JSON, one per line, as LiveCodeBench writes them; it runs in the tester, not in the program."""
_CHECK = """
import json, sys
_stdin, _stdout, _expected = json.load(sys.stdin)
{checker}
sys.exit(0 if check(_stdin, _stdout, _expected) else 1)
"""


class Starved(Exception):
    """A program was cut while it still had processor time, because the machine was too busy; the message says how far it came."""


@dataclass(frozen=True)
class TestResult:
    """The result of one test: PASSED, WRONG_OUTPUT, NOT_RUN or the ending of the run; ``detail`` explains a failure."""

    __test__ = False  # not a test class of pytest's

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class CodeRun:
    """A program and its tests in a sandbox, which has these libraries."""

    sandbox: Sandbox
    libraries: Libraries
    block: Block
    tests: TestSuite

    def results(self) -> list[TestResult]:
        """The result of each test. A program that does not compile fails them all at once.

        Raises Starved, BadTests for tests that test nothing or need libraries that are not here, EngineFailed.
        """
        if self.tests.language == "cpp":
            return self._cpp_results()
        return self._each(self._assertion_result if self.tests.assertions else self._python_result)

    def _each(self, result_of: Callable[[int], TestResult]) -> list[TestResult]:
        results: list[TestResult] = []
        for index in range(self.tests.count):
            if sum(result.kind == "time_limit" for result in results) >= TIME_LIMITS:
                results.append(TestResult(NOT_RUN))
                continue
            results.append(result_of(index))
            if results[-1].kind == "compile_error":
                return [results[-1]] * self.tests.count
        return results

    def _cpp_results(self) -> list[TestResult]:
        binary = self.sandbox.compiled(self.block.text.encode(errors="replace"), self.block.tag)
        if isinstance(binary, Outcome):
            _require_processor(binary, "the compiler")
            kind = "compile_error" if binary.ending == "runtime_error" else f"compile_error ({binary.ending})"
            complaint = next((line for line in binary.errors.splitlines() if "error" in line), binary.errors)
            return [TestResult(kind, complaint)] * self.tests.count
        try:
            limits = self.tests.limits
            return self._each(lambda index: self._by_output(self.sandbox.binary(binary, self._stdin(index), limits), index))
        finally:
            binary.close()

    @property
    def _source(self) -> bytes:
        return self.block.text.encode(errors="replace")

    def _stdin(self, index: int) -> bytes:
        return self.tests.inputs[index].encode(errors="surrogatepass")

    def _python_result(self, index: int) -> TestResult:
        tests, limits = self.tests, self.tests.limits
        livecodebench = tests.comparison == "livecodebench"
        if tests.fn_name:
            call = _CALL.format(name=tests.fn_name).encode()
            options = TestOptions(own=(tests.fn_name,), livecodebench=livecodebench)
            return self._by_value(self.sandbox.tested(self._source, call, self._stdin(index), limits, options=options), index)
        return self._by_output(self.sandbox.python(self._source, self._stdin(index), limits, livecodebench=livecodebench), index)

    def _assertion_result(self, index: int) -> TestResult:
        """One assertion: in a process of its own and, where only that made it fail, once more in one interpreter."""
        assertion = self.tests.assertions[index]
        self._require_libraries(assertion)
        source, test, options = self._source, assertion.source.encode(errors="replace"), assertion.options
        if options.pytest:
            return _by_ending(self.sandbox.joined(source, test, self.tests.limits, options), test)
        outcome = self.sandbox.tested(source, test, limits=self.tests.limits, options=options)
        if outcome.ending == "finished" and not outcome.report["asked"]:
            msg = f"assert_case {index + 1} passes without asking the program for anything; it tests nothing"
            raise BadTests(msg)
        message = str(outcome.report.get("message", ""))
        absent = [name for name in tops(options.imports) if message == f"ModuleNotFoundError: No module named {name!r}"]
        if absent and not outcome.report.get("exact"):
            msg = f"the tests import {absent[0]}, which the sandbox does not have"
            raise BadTests(msg)
        inexact = assertion.shares_state or not outcome.report.get("exact", True)
        if inexact and outcome.report.get("result") in ("failed", "raised", "not_loaded"):
            outcome = self.sandbox.joined(source, test, self.tests.limits, options)
        return _by_ending(outcome, test)

    def _require_libraries(self, assertion: Assertion) -> None:
        needed = tops(assertion.options.imports) | ({"pytest"} if assertion.options.pytest else set())
        missing = sorted(needed & set(NAMES["scientific"]) - set(NAMES[self.libraries]))
        if missing:
            msg = f"the tests import {', '.join(missing)}: set libraries to scientific"
            raise BadTests(msg)
        if "pytest" in needed and not self.sandbox.has_libraries:
            msg = "the tests need pytest in the sandbox: run `make libraries`, or take an image that has it"
            raise BadTests(msg)

    def _by_output(self, outcome: Outcome, index: int) -> TestResult:
        """Compare standard output with the expected text, which no process of the program's ever sees."""
        _require_processor(outcome, f"test {index + 1}")
        tests, expected = self.tests, self.tests.outputs[index]
        left_early = tests.comparison == "livecodebench" and outcome.ending == "runtime_error" and _left_by_exit(outcome)
        if outcome.ending != "finished" and not left_early:
            return _by_ending(outcome)
        got = outcome.stdout.decode(errors="replace")
        if tests.checker:
            return self._checked(index, got)
        same = output_comparison.same_output(got, expected, tests.tolerance, tests.comparison)
        return TestResult(PASSED) if same else _different(got, expected)

    def _checked(self, index: int, got: str) -> TestResult:
        """What the tests' checker says of an output; it runs without the program."""
        tests = self.tests
        question = json.dumps([tests.inputs[index], got, tests.outputs[index]]).encode()
        outcome = self.sandbox.python(_CHECK.format(checker=tests.checker).encode(), question, tests.limits)
        _require_processor(outcome, f"the checker of test {index + 1}")
        if outcome.ending == "finished":
            return TestResult(PASSED)
        if outcome.code == 1 and not outcome.errors:
            return _different(got, tests.outputs[index])
        msg = f"the checker failed on test {index + 1}: {_by_ending(outcome).detail}"
        raise BadTests(msg)

    def _by_value(self, outcome: Outcome, index: int) -> TestResult:
        """Compare the returned value, as JSON, with the expected one; where nothing was returned, the first argument."""
        _require_processor(outcome, f"test {index + 1}")
        if outcome.ending != "finished":
            return _by_ending(outcome)
        tests, got, expected_text = self.tests, outcome.stdout.decode(errors="replace"), self.tests.outputs[index]
        try:
            returned, expected = json.loads(got), json.loads(expected_text)
        except (ValueError, RecursionError):
            same = output_comparison.same_output(got, expected_text, tests.tolerance, tests.comparison)
            return TestResult(PASSED) if same else _different(got, expected_text)
        value = returned["result"]
        if value is None and expected is not None and returned["first"]:
            value = returned["first"][0]
        if returned["unordered"] and isinstance(expected, list):
            value, expected = (sorted(part, key=repr) for part in (value, expected))
        if output_comparison.same_value(value, expected, tests.tolerance, tests.comparison):
            return TestResult(PASSED)
        return _different(json.dumps(value), expected_text)


def _require_processor(outcome: Outcome, what: str) -> None:
    if outcome.ending == "starved":
        used = f"{outcome.cpu_s:.1f} s of processor time used"
        msg = f"{what} was cut after {outcome.wall_s:.0f} s with {used}: the machine is too busy"
        raise Starved(msg)


def _left_by_exit(outcome: Outcome) -> bool:
    """Whether the program left by ``sys.exit`` with a code, which LiveCodeBench ignores: an exception prints a traceback."""
    return outcome.code > 0 and "Traceback (most recent call last)" not in outcome.errors


def _by_ending(outcome: Outcome, assertion: bytes = b"") -> TestResult:
    _require_processor(outcome, "a test")
    if outcome.ending == "finished":
        return TestResult(PASSED)
    if outcome.report.get("result") == "failed":
        return TestResult(WRONG_OUTPUT, outcome.errors.strip() or assertion.decode(errors="replace"))
    error_lines = outcome.errors.strip().splitlines()
    return TestResult(outcome.ending, error_lines[-1] if error_lines else f"exit code {outcome.code}")


def _different(got: str, expected: str) -> TestResult:
    """What differs; white space at the ends is shown where nothing else does."""
    if got.strip() != expected.strip():
        got, expected = got.strip(), expected.strip()
    got, expected = (shortened(text, DETAIL_CHARS // 6) for text in (got, expected))
    return TestResult(WRONG_OUTPUT, f"got {got!r}, expected {expected!r}")
