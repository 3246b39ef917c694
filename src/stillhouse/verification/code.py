"""A program against its question's tests, in the sandbox: passed tests over tests, the first ten (DeepDistill §2.4.1).

The program is the last fenced block of the answer that is tagged with the tests' language or not at all. An answer without a
fence is taken whole if a line of it begins as code does. What a program does wrong, running out of time or memory too, fails
that test; ``error`` is for tests that cannot be run and for failures of the sandbox.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from stillhouse.errors import EngineFailed
from stillhouse.verification import code_tests
from stillhouse.verification.code_tests import BadTests, Tests
from stillhouse.verification.sandbox import programs
from stillhouse.verification.sandbox.runner import COMPILING, WEAK, Outcome, Sandbox
from stillhouse.verification.verdict import DETAIL_CHARS, Request, Verdict
from stillhouse.vocabulary.rows import VerdictKind

METHOD = "sandbox"
MAX_ANSWER_CHARS = 1_000_000
"""More than any program: what is longer is not looked into."""
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
"""One call with arguments of JSON, one to a line, as LiveCodeBench writes them; in the tester, not in the program."""

_SANDBOX: list[Sandbox] = []
"""The sandbox of this process, once there is one."""


@dataclass(frozen=True)
class Result:
    """How one test went: PASSED, WRONG_OUTPUT or the ending of the run; ``detail`` says more of what failed."""

    kind: str
    detail: str = ""


def warm() -> None:
    """Nothing to load: the sandbox starts with the first program, in a fifth of a second."""


def settled(request: Request) -> Verdict | None:
    """The verdict where there is no program to run; None for the rest. Raises EngineFailed where nothing isolates programs."""
    found = _without_program(request)
    if found is None:
        _require_isolation()
    return found


@cache
def _require_isolation() -> None:
    """Once, in the process that asks for verdicts: a machine that refuses is to fail the stage, not every row."""
    with Sandbox():
        pass


def _without_program(request: Request) -> Verdict | None:
    if request.finish_reason == "error":
        return Verdict("error", None, METHOD, "the engine failed on this response")
    if not (request.answer or "").strip():
        return Verdict("truncated" if request.finish_reason == "length" else "no_answer", 0.0, METHOD)
    return None


def deadline_s(request: Request, timeout_s: float) -> float:
    """Seconds the tests of a request may take in all, ``timeout_s`` more for what is around them."""
    try:
        tests = code_tests.read(request.test_cases)
    except BadTests:
        return timeout_s
    return timeout_s + tests.count * (tests.limits.wall_s + 1) + (COMPILING.wall_s if tests.language == "cpp" else 0)


def verify(request: Request) -> Verdict:
    """Run the tests. Raises EngineFailed where nothing isolates programs, or the sandbox breaks."""
    quick = _without_program(request)
    if quick is not None:
        return quick
    try:
        tests = code_tests.read(request.test_cases)
    except BadTests as error:
        return Verdict("error", None, METHOD, f"{error}"[:DETAIL_CHARS])
    answer = str(request.answer)
    source = extracted(answer, tests.language) if len(answer) <= MAX_ANSWER_CHARS else None
    if source is None:
        why = f"no {tests.language} code in" if len(answer) <= MAX_ANSWER_CHARS else f"more than {MAX_ANSWER_CHARS:,} characters in"
        return Verdict("malformed", 0.0, METHOD, f"{why} the answer of {len(answer):,} characters")
    sandbox = _sandbox()
    try:
        results = _results(sandbox, source.encode(errors="replace"), tests)
    except EngineFailed:
        # A new one next time: the stage tries errors once more.
        _SANDBOX.pop().close()
        raise
    return _verdict(results, METHOD if sandbox.isolation != WEAK else f"{METHOD}, weak isolation")


def extracted(answer: str, language: str) -> str | None:
    """The program of an answer; a block left open runs to the end. None where there is none in this language."""
    found, fenced = None, False
    fences = list(_FENCE.finditer(answer))
    place = 0
    while place < len(fences):
        opening = fences[place]
        closing = next((at for at in range(place + 1, len(fences)) if _closes(opening, fences[at])), len(fences))
        end = fences[closing].start() if closing < len(fences) else len(answer)
        if opening[2].lower() in _TAGS[language]:
            found = answer[opening.end() + 1 : end]
        fenced, place = True, closing + 1
    if fenced:
        return found if found and found.strip() else None
    return answer if _CODE_LINE[language].search(answer) else None


def _closes(opening: "re.Match[str]", fence: "re.Match[str]") -> bool:
    return not fence[2] and fence[1].startswith(opening[1])


def _sandbox() -> Sandbox:
    if not _SANDBOX:
        _SANDBOX.append(Sandbox())
    return _SANDBOX[0]


def _results(sandbox: Sandbox, source: bytes, tests: Tests) -> list[Result]:
    """How each test went. A program that does not compile fails them all at once."""
    if tests.language == "cpp":
        return _cpp_results(sandbox, source, tests)
    results: list[Result] = []
    for place in range(tests.count):
        results.append(_python_result(sandbox, source, tests, place))
        if results[-1].kind == "compile_error":
            return results * tests.count
    return results


def _cpp_results(sandbox: Sandbox, source: bytes, tests: Tests) -> list[Result]:
    binary = sandbox.compiled(source)
    if isinstance(binary, Outcome):
        kind = "compile_error" if binary.ending == "runtime_error" else f"compile_error ({binary.ending})"
        complaint = next((line for line in binary.errors.splitlines() if "error" in line), binary.errors)
        return [Result(kind, complaint)] * tests.count
    try:
        return [
            _by_output(sandbox.binary(binary, stdin.encode(), tests.limits), expected, tests)
            for stdin, expected in zip(tests.inputs, tests.outputs, strict=True)
        ]
    finally:
        binary.close()


def _python_result(sandbox: Sandbox, source: bytes, tests: Tests, place: int) -> Result:
    own = [tests.fn_name] if tests.fn_name else []
    if tests.assertions:
        outcome = sandbox.tested(source, tests.assertions[place].encode(), limits=tests.limits, own=own)
        if outcome.ending == "runtime_error" and outcome.code == programs.FAILED:
            return Result(WRONG_OUTPUT, outcome.errors or tests.assertions[place])
        return _by_ending(outcome)
    stdin = tests.inputs[place].encode()
    if tests.fn_name:
        outcome = sandbox.tested(source, _CALL.format(name=tests.fn_name).encode(), stdin, tests.limits, own)
        return _by_value(outcome, tests.outputs[place], tests)
    return _by_output(sandbox.python(source, stdin, tests.limits), tests.outputs[place], tests)


def _by_ending(outcome: Outcome) -> Result:
    if outcome.ending == "finished":
        return Result(PASSED)
    said = outcome.errors.strip().splitlines()
    return Result(outcome.ending, said[-1] if said else f"exit code {outcome.code}")


def _by_output(outcome: Outcome, expected: str, tests: Tests) -> Result:
    """Standard output against the expected text, which no process of the sandbox ever has."""
    if outcome.ending != "finished":
        return _by_ending(outcome)
    got = outcome.stdout.decode(errors="replace")
    return Result(PASSED) if code_tests.same_output(got, expected, tests.tolerance) else _different(got, expected)


def _by_value(outcome: Outcome, expected: str, tests: Tests) -> Result:
    """The returned value, as JSON, against the expected one."""
    if outcome.ending != "finished":
        return _by_ending(outcome)
    got = outcome.stdout.decode(errors="replace")
    try:
        same = code_tests.same_value(json.loads(got), json.loads(expected), tests.tolerance)
    except (ValueError, RecursionError):
        same = code_tests.same_output(got, expected, tests.tolerance)
    return Result(PASSED) if same else _different(got, expected)


def _different(got: str, expected: str) -> Result:
    return Result(WRONG_OUTPUT, f"got {_short(got)}, expected {_short(expected)}")


def _short(text: str) -> str:
    return repr(text.strip()[: DETAIL_CHARS // 6])


def _verdict(results: list[Result], method: str) -> Verdict:
    """The share of tests passed; in the detail which failed and how, by number, and what the first of them said."""
    passed = sum(result.kind == PASSED for result in results)
    kind: VerdictKind = "correct" if passed == len(results) else "partial" if passed else "wrong"
    places = {
        each: [place + 1 for place, result in enumerate(results) if result.kind == each]
        for each in Counter(r.kind for r in results)
    }
    failed = [f"{each} in {', '.join(map(str, numbers))}" for each, numbers in places.items() if each != PASSED]
    said = next((f"; first: {result.detail}" for result in results if result.kind != PASSED and result.detail), "")
    detail = f"{passed}/{len(results)} passed; {'; '.join(failed)}{said}" if failed else f"{passed}/{len(results)} passed"
    return Verdict(kind, passed / len(results), method, detail[:DETAIL_CHARS])
