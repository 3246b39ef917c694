"""Runs a program against its question's tests in the sandbox: the score is the share of them that pass (DeepDistill §2.4.1).

The program is the last fenced block of the answer that is untagged or tagged with the tests' language. An answer without a
fence is taken whole if one of its lines begins like code. Whatever a program does wrong, also running out of time or memory,
fails that test; ``error`` is for tests that cannot be run and for failures of the sandbox.
"""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from stillhouse.errors import EngineFailed
from stillhouse.verification import code_tests
from stillhouse.verification.code_tests import BadTests, TestSuite
from stillhouse.verification.sandbox import programs
from stillhouse.verification.sandbox.runner import COMPILING, WEAK, Outcome, Sandbox
from stillhouse.verification.verdict import DETAIL_CHARS, Verdict, VerificationRequest, unanswered
from stillhouse.verification.verifier import KnownAnswer, Verifier
from stillhouse.vocabulary.rows import Question, VerdictKind
from stillhouse.vocabulary.text import shortened

METHOD = "sandbox"
MAX_ANSWER_CHARS = 1_000_000
"""More than any program has; a longer answer is malformed."""
PASSED, WRONG_OUTPUT = "passed", "wrong_output"

_TAGS = {"python": ("", "python", "python3", "py", "py3"), "cpp": ("", "cpp", "c++", "cc", "cxx", "c++17", "c++20")}
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\s`~]*)[^\n`]*$", re.MULTILINE)
_CODE_LINE = {
    "python": re.compile(
        r"^(?:import \w|from [\w.]+ import |def \w+\(|class \w+[:(]|print\(|for \w+ in |\w+(?:, ?\w+)* = )", re.MULTILINE
    ),
    "cpp": re.compile(r"^\s*#include\s*[<\"]", re.MULTILINE),
}
_CALL = """
import json, sys
_arguments = [json.loads(line) for line in sys.stdin.read().split("\\n") if line.strip()]
try:
    _solution = Solution()
except NameError:
    _function = {name}
else:
    _function = _solution.{name}
print(json.dumps(_function(*_arguments)))
"""
"""One call with arguments in JSON, one per line, as LiveCodeBench writes them; it runs in the tester, not in the program."""


@dataclass(frozen=True)
class TestResult:
    """The result of one test: PASSED, WRONG_OUTPUT or the ending of the run; ``detail`` explains a failure."""

    __test__ = False  # not a test class of pytest's

    kind: str
    detail: str = ""


class CodeVerifier(Verifier):
    """Runs programs in a sandbox, which starts with the first program, in a fifth of a second."""

    method = METHOD

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None

    def fast_path(self, request: VerificationRequest) -> Verdict | None:
        """See Verifier. Raises EngineFailed if this machine cannot isolate programs."""
        verdict = unanswered(request, METHOD)
        if verdict is None:
            _require_isolation()
        return verdict

    def deadline_s(self, request: VerificationRequest, timeout_s: float) -> float:
        """See Verifier: the limits of all tests together, plus ``timeout_s`` for everything else."""
        try:
            tests = code_tests.read(request.test_cases)
        except BadTests:
            return timeout_s
        return timeout_s + tests.count * (tests.limits.wall_s + 1) + (COMPILING.wall_s if tests.language == "cpp" else 0)

    def verify(self, request: VerificationRequest) -> Verdict:
        """Run the tests. Raises EngineFailed if this machine cannot isolate programs, or the sandbox breaks."""
        if (verdict := unanswered(request, METHOD)) is not None:
            return verdict
        try:
            tests = code_tests.read(request.test_cases)
        except BadTests as error:
            return Verdict("error", None, METHOD, str(error))
        answer = str(request.answer)
        too_long = len(answer) > MAX_ANSWER_CHARS
        source = None if too_long else extracted(answer, tests.language)
        if source is None:
            why = f"more than {MAX_ANSWER_CHARS:,} characters in" if too_long else f"no {tests.language} code in"
            return Verdict("malformed", 0.0, METHOD, f"{why} the answer of {len(answer):,} characters")
        self._sandbox = self._sandbox or Sandbox()
        try:
            results = _results(self._sandbox, source.encode(errors="replace"), tests)
        except EngineFailed:
            # The stage tries errors once more: then with a new sandbox.
            self.close()
            raise
        return _verdict(results, METHOD if self._sandbox.isolation != WEAK else f"{METHOD}, weak isolation")

    def known_answers(self, question: Question) -> list[KnownAnswer]:
        """See Verifier: a program that does nothing, and the reference if the question has one."""
        language = "cpp" if '"cpp"' in (question.test_cases or "") else "python"
        idle = {"cpp": "int main() { return 0; }", "python": "pass"}[language]
        answers = [KnownAnswer("a program that does nothing", f"```{language}\n{idle}\n```", passes=False)]
        if reference := question.reference_answer:
            program = reference if "```" in reference else f"```{language}\n{reference}\n```"
            answers.append(KnownAnswer("the reference", program, passes=True))
        return answers

    def close(self) -> None:
        """End the sandbox, if there is one."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()


@cache
def _require_isolation() -> None:
    """Checked once, in the process that asks for verdicts: a machine without isolation must fail the stage, not every row."""
    with Sandbox():
        pass


def extracted(answer: str, language: str) -> str | None:
    """The program in an answer; an unclosed block runs to the end. None if there is no program in this language."""
    program, fenced = None, False
    fences = list(_FENCE.finditer(answer))
    index = 0
    while index < len(fences):
        opening = fences[index]
        closing = next((later for later in range(index + 1, len(fences)) if _closes(opening, fences[later])), len(fences))
        end = fences[closing].start() if closing < len(fences) else len(answer)
        if opening[2].lower() in _TAGS[language]:
            program = answer[opening.end() + 1 : end]
        fenced, index = True, closing + 1
    if fenced:
        return program if program and program.strip() else None
    return answer if _CODE_LINE[language].search(answer) else None


def _closes(opening: "re.Match[str]", fence: "re.Match[str]") -> bool:
    return not fence[2] and fence[1].startswith(opening[1])


def _results(sandbox: Sandbox, source: bytes, tests: TestSuite) -> list[TestResult]:
    """The result of each test. A program that does not compile fails them all at once."""
    if tests.language == "cpp":
        return _cpp_results(sandbox, source, tests)
    results: list[TestResult] = []
    for index in range(tests.count):
        results.append(_python_result(sandbox, source, tests, index))
        if results[-1].kind == "compile_error":
            return results * tests.count
    return results


def _cpp_results(sandbox: Sandbox, source: bytes, tests: TestSuite) -> list[TestResult]:
    binary = sandbox.compiled(source)
    if isinstance(binary, Outcome):
        kind = "compile_error" if binary.ending == "runtime_error" else f"compile_error ({binary.ending})"
        complaint = next((line for line in binary.errors.splitlines() if "error" in line), binary.errors)
        return [TestResult(kind, complaint)] * tests.count
    try:
        return [
            _by_output(sandbox.binary(binary, stdin.encode(), tests.limits), expected, tests)
            for stdin, expected in zip(tests.inputs, tests.outputs, strict=True)
        ]
    finally:
        binary.close()


def _python_result(sandbox: Sandbox, source: bytes, tests: TestSuite, index: int) -> TestResult:
    own = [tests.fn_name] if tests.fn_name else []
    if tests.assertions:
        outcome = sandbox.tested(source, tests.assertions[index].encode(), limits=tests.limits, own=own)
        if outcome.ending == "runtime_error" and outcome.code == programs.FAILED:
            return TestResult(WRONG_OUTPUT, outcome.errors or tests.assertions[index])
        return _by_ending(outcome)
    stdin = tests.inputs[index].encode()
    if tests.fn_name:
        outcome = sandbox.tested(source, _CALL.format(name=tests.fn_name).encode(), stdin, tests.limits, own)
        return _by_value(outcome, tests.outputs[index], tests)
    return _by_output(sandbox.python(source, stdin, tests.limits), tests.outputs[index], tests)


def _by_ending(outcome: Outcome) -> TestResult:
    if outcome.ending == "finished":
        return TestResult(PASSED)
    error_lines = outcome.errors.strip().splitlines()
    return TestResult(outcome.ending, error_lines[-1] if error_lines else f"exit code {outcome.code}")


def _by_output(outcome: Outcome, expected: str, tests: TestSuite) -> TestResult:
    """Compare standard output with the expected text, which no process in the sandbox ever sees."""
    if outcome.ending != "finished":
        return _by_ending(outcome)
    got = outcome.stdout.decode(errors="replace")
    return TestResult(PASSED) if code_tests.same_output(got, expected, tests.tolerance) else _different(got, expected)


def _by_value(outcome: Outcome, expected: str, tests: TestSuite) -> TestResult:
    """Compare the returned value, as JSON, with the expected one."""
    if outcome.ending != "finished":
        return _by_ending(outcome)
    got = outcome.stdout.decode(errors="replace")
    try:
        same = code_tests.same_value(json.loads(got), json.loads(expected), tests.tolerance)
    except (ValueError, RecursionError):
        same = code_tests.same_output(got, expected, tests.tolerance)
    return TestResult(PASSED) if same else _different(got, expected)


def _different(got: str, expected: str) -> TestResult:
    got, expected = (shortened(text.strip(), DETAIL_CHARS // 6) for text in (got, expected))
    return TestResult(WRONG_OUTPUT, f"got {got!r}, expected {expected!r}")


def _verdict(results: list[TestResult], method: str) -> Verdict:
    """The share of passed tests; the detail lists the failures by kind and number, and quotes the first."""
    n_passed = sum(result.kind == PASSED for result in results)
    kind: VerdictKind = "correct" if n_passed == len(results) else "partial" if n_passed else "wrong"
    numbers: dict[str, list[str]] = defaultdict(list)
    for number, result in enumerate(results, start=1):
        numbers[result.kind].append(str(number))
    failures = [f"{ending} in {', '.join(tests)}" for ending, tests in numbers.items() if ending != PASSED]
    first = next((f"; first: {result.detail}" for result in results if result.kind != PASSED and result.detail), "")
    detail = f"{n_passed}/{len(results)} passed"
    return Verdict(kind, n_passed / len(results), method, f"{detail}; {'; '.join(failures)}{first}" if failures else detail)
