"""Runs a program against its question's tests in the sandbox: the score is the share of them that pass (DeepDistill §2.4.1).

Whatever a program does wrong, also running out of time or memory, fails that test; ``error`` is for tests that cannot be run and
for failures of the sandbox, ``timeout`` for a program that this machine was too busy to run.
"""

from collections import defaultdict
from functools import cache

from stillhouse.errors import EngineFailed
from stillhouse.verification import code_blocks, code_tests
from stillhouse.verification.code_blocks import Block
from stillhouse.verification.code_run import PASSED, CodeRun, Starved, TestResult
from stillhouse.verification.code_tests import BadTests, TestSuite
from stillhouse.verification.sandbox.limits import SLOW
from stillhouse.verification.sandbox.runner import COMPILING, WEAK, Sandbox
from stillhouse.verification.verdict import Verdict, VerificationRequest, unanswered
from stillhouse.verification.verifier import KnownAnswer, Verifier
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.rows import Question, VerdictKind

METHOD = "sandbox"
MAX_ANSWER_CHARS = 1_000_000
"""More than any program has; a longer answer is malformed."""


class CodeVerifier(Verifier):
    """Runs programs in a sandbox, which starts with the first program, in a fifth of a second."""

    method = METHOD
    libraries: Libraries = "standard"
    """What programs and tests may import."""

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None

    def fast_path(self, request: VerificationRequest) -> Verdict | None:
        """See Verifier. Raises EngineFailed if this machine cannot isolate programs."""
        verdict = unanswered(request, self.method)
        if verdict is None:
            _require_isolation(self.libraries)
        return verdict

    def deadline_s(self, request: VerificationRequest, timeout_s: float) -> float:
        """See Verifier: as long as all tests together can take, plus ``timeout_s`` for everything else."""
        try:
            tests = code_tests.read(request.test_cases)
        except BadTests:
            return timeout_s
        attempts = 2 if tests.assertions else 1
        compiling_s = SLOW * COMPILING.wall_s * 2 if tests.language == "cpp" else 0
        # A test that is cut ends the others, or is the second that does.
        return timeout_s + attempts * tests.count * (tests.limits.wall_s + 1) + 2 * SLOW * tests.limits.wall_s + compiling_s

    def verify(self, request: VerificationRequest) -> Verdict:
        """Run the tests. Raises EngineFailed if this machine cannot isolate programs, or the sandbox breaks."""
        if (verdict := unanswered(request, self.method)) is not None:
            return verdict
        try:
            tests = code_tests.read(request.test_cases)
            answer = str(request.answer)
            block = None if len(answer) > MAX_ANSWER_CHARS else code_blocks.program(answer, tests.language, _wanted(tests))
            if block is None:
                return self._malformed(answer, tests.language)
            return self._run(block, tests)
        except BadTests as error:
            return Verdict("error", None, self.method, str(error))

    def _malformed(self, answer: str, language: str) -> Verdict:
        too_long = len(answer) > MAX_ANSWER_CHARS
        why = f"more than {MAX_ANSWER_CHARS:,} characters in" if too_long else f"no {language} code in"
        return Verdict("malformed", 0.0, self.method, f"{why} the answer of {len(answer):,} characters")

    def _run(self, block: Block, tests: TestSuite) -> Verdict:
        self._sandbox = self._sandbox or Sandbox(self.libraries)
        method = self.method if self._sandbox.isolation != WEAK else f"{self.method}, weak isolation"
        try:
            return _verdict(CodeRun(self._sandbox, self.libraries, block, tests).results(), method)
        except Starved as error:
            return Verdict("timeout", None, method, str(error))
        except EngineFailed:
            # The stage tries errors once more: then with a new sandbox.
            self.close()
            raise

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


class ScientificCodeVerifier(CodeVerifier):
    """The same, for programs and tests that may import numpy, scipy, sympy, pandas, networkx and sortedcontainers."""

    method = f"{METHOD}, scientific libraries"
    libraries: Libraries = "scientific"


@cache
def _require_isolation(libraries: Libraries) -> None:
    """Checked once, in the process that asks for verdicts: a machine without isolation must fail the stage, not every row."""
    with Sandbox(libraries):
        pass


def _wanted(tests: TestSuite) -> set[str]:
    """Names that the program has to define."""
    if tests.fn_name:
        return {tests.fn_name, "Solution"}
    return {name for assertion in tests.assertions for name in assertion.options.unknown}


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
