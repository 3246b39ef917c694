import json

import pytest

from stillhouse.errors import EngineFailed
from stillhouse.verification import code
from stillhouse.verification.code import CodeVerifier, extracted
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.sandbox import visible
from stillhouse.verification.verdict import VerificationRequest

compiler = pytest.mark.skipif(visible.compiler() is None, reason="no C++ compiler on PATH")
DOUBLE = "```python\nprint(2 * int(input()))\n```"
PAIRS = {"call_type": "std", "inputs": ["1", "2", "3", "4"], "outputs": ["2", "4", "6", "8\n"]}


VERIFIER = CodeVerifier()


@pytest.fixture(scope="module", autouse=True)
def _sandbox():
    """The sandbox of VERIFIER is closed at the end of the module."""
    yield
    VERIFIER.close()


def ask(answer, tests=PAIRS, **changes):
    text = json.dumps(tests) if isinstance(tests, dict) else tests
    return VerificationRequest("code", answer, None, test_cases=text, **changes)


def verdict(answer, tests=PAIRS, **changes):
    return VERIFIER.verify(ask(answer, tests, **changes))


def test_verify_program_that_passes_all_is_correct():
    found = verdict(f"Read, double, print.\n{DOUBLE}\nThat is all.")
    assert (found.kind, found.verify_score, found.method, found.detail) == ("correct", 1.0, "sandbox", "4/4 passed")


def test_verify_score_is_the_share_of_tests_passed_and_the_detail_says_which_not():
    found = verdict("```python\nx = int(input())\nif x == 2: 1 / 0\nprint(2 if x == 3 else 2 * x)\n```")
    assert (found.kind, found.verify_score) == ("partial", 0.5)
    assert found.detail == "2/4 passed; runtime_error in 2; wrong_output in 3; first: ZeroDivisionError: division by zero"


def test_verify_program_that_passes_none_is_wrong():
    found = verdict("```python\nprint(7)\n```")
    assert (found.kind, found.verify_score) == ("wrong", 0.0)
    assert found.detail == "0/4 passed; wrong_output in 1, 2, 3, 4; first: got '7', expected '2'"


def test_verify_runs_the_first_ten_tests():
    tests = {"call_type": "std", "inputs": [str(number) for number in range(12)], "outputs": ["0"] * 10 + ["never", "run"]}
    assert verdict("```python\nprint(0)\n```", tests).detail == "10/10 passed"


@pytest.mark.parametrize(
    ("program", "kind"),
    [("while True: pass", "time_limit"), ("import time\ntime.sleep(60)", "time_limit"), ("x = bytearray(1 << 34)", "memory_limit")],
)
def test_verify_what_a_program_uses_up_fails_the_test_not_the_verifier(program, kind):
    tests = {"inputs": ["1", "2"], "outputs": ["1", "2"], "time_limit_s": 0.5}
    found = verdict(f"```python\nx = input()\nif x == '2':\n    {program.replace(chr(10), chr(10) + '    ')}\nprint(x)\n```", tests)
    assert (found.kind, found.verify_score) == ("partial", 0.5)
    assert f"{kind} in 2" in found.detail


def test_verify_program_that_is_no_python_fails_every_test_at_once():
    found = verdict("```python\nprint(\n```")
    assert (found.kind, found.verify_score) == ("wrong", 0.0)
    assert found.detail.startswith("0/4 passed; compile_error in 1, 2, 3, 4; first: SyntaxError")


def test_verify_tolerance_holds_only_where_the_tests_declare_it():
    tests = {"inputs": [""], "outputs": ["0.333333"]}
    assert verdict("```python\nprint(1 / 3)\n```", tests).kind == "wrong"
    assert verdict("```python\nprint(1 / 3)\n```", tests | {"tolerance": 1e-5}).kind == "correct"


@pytest.mark.parametrize(
    "program",
    ["def total(a, b): return a + b", "class Solution:\n    def total(self, a: List[int], b: List[int]): return a + b"],
)
def test_verify_function_gets_arguments_of_json_and_its_value_is_compared(program):
    tests = {"fn_name": "total", "inputs": ["[1]\n[2, 3]", '["a"]\n[]'], "outputs": ["[1, 2, 3]", '[ "a" ]']}
    assert verdict(f"```python\n{program}\n```", tests).detail == "2/2 passed"
    assert verdict(f"```python\n{program.replace('a + b', 'b + a')}\n```", tests).verify_score == 0.5


def test_verify_function_that_prints_or_is_missing_is_not_confused_with_its_value():
    tests = {"fn_name": "f", "inputs": ["1"], "outputs": ["2"]}
    assert verdict("```python\ndef f(x):\n    print('debug')\n    return x + 1\n```", tests).kind == "correct"
    assert verdict("```python\ndef f(x):\n    print(2)\n```", tests).kind == "wrong"
    assert "NameError" in verdict("```python\ndef g(x): return 2\n```", tests).detail


def test_verify_assertions_each_count():
    tests = {"call_type": "assert", "assert_case": ["assert f(1) == 2", "assert f(2) == 4", "assert f(3) == 7"]}
    found = verdict("```python\ndef f(x): return 2 * x\n```", tests)
    assert (found.kind, found.verify_score) == ("partial", 2 / 3)
    assert "wrong_output in 3" in found.detail


def test_verify_expected_output_is_nowhere_in_the_program_s_reach():
    program = """
import ctypes, gc, os, sys
found = [repr(each) for each in gc.get_objects()] + os.listdir() + sys.argv + [repr(os.environ)]
frame = sys._getframe()
while frame:
    found.append(repr(frame.f_locals) + repr(frame.f_globals))
    frame = frame.f_back
for descriptor in range(64):
    try: found.append(repr(os.pread(descriptor, 1 << 20, 0)))
    except OSError: pass
print("".join(found))
"""
    assert verdict(DOUBLE).kind == "correct"
    for _ in range(2):
        outcome = VERIFIER._sandbox.python(program.encode())
        assert outcome.ending == "finished", outcome
        assert verdict("```python\nprint('q' + 'x7391q')\n```", {"inputs": ["1"], "outputs": ["qx7391q"]}).kind == "correct"
        assert b"x7391q" not in outcome.stdout.replace(b"'x7391q')", b"")


@compiler
def test_verify_cpp_is_compiled_and_compared_like_python():
    body = "int x; std::cin >> x; if (x == 3) return 1; std::cout << 2 * x << ' ';"
    answer = f"```cpp\n#include <iostream>\nint main() {{ {body} }}\n```"
    found = verdict(answer, PAIRS | {"language": "cpp"})
    assert (found.kind, found.verify_score) == ("partial", 0.75)
    found = verdict("```cpp\nint main() { return x; }\n```", PAIRS | {"language": "cpp"})
    assert (found.kind, found.verify_score) == ("wrong", 0.0)
    assert "compile_error in 1, 2, 3, 4" in found.detail
    assert "was not declared" in found.detail


def test_verify_cpp_without_a_compiler_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineFailed, match="no C\\+\\+ compiler on PATH"):
        verdict("```cpp\nint main() {}\n```", PAIRS | {"language": "cpp"})


@pytest.mark.parametrize(
    ("request_", "kind", "said"),
    [
        (ask(None), "no_answer", ""),
        (ask("  ", finish_reason="length"), "truncated", ""),
        (ask("x", finish_reason="error"), "error", "the engine failed"),
        (ask("I do not know."), "malformed", "no python code in the answer of 14 characters"),
        (ask("```java\nclass A {}\n```"), "malformed", "no python code"),
        (ask("I " * 5_000_000), "malformed", "10,000,000 characters"),
        (ask("```python\n" + "x = 1\n" * 2_000_000), "malformed", "more than 1,000,000 characters in the answer of 12,000,010"),
        (ask("```\n" * 250_000), "malformed", "no python code"),
        (ask("a, " * 300_000), "malformed", "no python code"),
        (ask(DOUBLE, None), "error", "no test_cases"),
        (ask(DOUBLE, "{"), "error", "not JSON"),
        (ask(DOUBLE, {"language": "java"}), "error", "'java'"),
        (ask(DOUBLE, {"inputs": []}), "error", "no tests"),
    ],
)
def test_verify_bad_input_is_typed_and_explained(request_, kind, said):
    found = VERIFIER.verify(request_)
    assert (found.kind, found.verify_score) == (kind, None if kind == "error" else 0.0)
    assert said in found.detail


@pytest.mark.parametrize(
    ("answer", "language", "code_"),
    [
        ("a\n```python\none\n```\nb\n```python\ntwo\n```\nc", "python", "two\n"),
        ("```py\none\n```\n```text\nout\n```", "python", "one\n"),
        ("```\none\n```", "python", "one\n"),
        ("```c++\none\n```\n```python\ntwo\n```", "cpp", "one\n"),
        ("```python\none\n```\n```bash\nrun\n```", "cpp", None),
        ("~~~python\none\n```\nstill\n~~~", "python", "one\n```\nstill\n"),
        ("````python\none\n```\nstill\n````", "python", "one\n```\nstill\n"),
        ("   ```python title=x\none\n   ```", "python", "one\n"),
        ("```python\ncut off", "python", "cut off"),
        ("import sys\nprint(1)", "python", "import sys\nprint(1)"),
        ("def f(x):\n    return x", "python", "def f(x):\n    return x"),
        ("The answer is 42.", "python", None),
        ("#include <iostream>\nint main() {}", "cpp", "#include <iostream>\nint main() {}"),
        ("import sys", "cpp", None),
    ],
)
def test_extracted_program_is_the_last_block_of_its_language(answer, language, code_):
    found = extracted(answer, language)
    assert found == code_ or (found is not None and code_ is not None and found.strip() == code_.strip())


def test_deadline_covers_every_test_and_the_compiler():
    assert VERIFIER.deadline_s(ask(DOUBLE, PAIRS | {"time_limit_s": 2}), 10) == 10 + 4 * 6
    assert VERIFIER.deadline_s(ask(DOUBLE, PAIRS | {"language": "cpp", "time_limit_s": 2}), 10) == 10 + 4 * 6 + 60
    assert VERIFIER.deadline_s(ask(DOUBLE, "{"), 10) == 10


def test_fast_path_only_what_needs_no_program_and_refuses_where_nothing_isolates(monkeypatch):
    assert VERIFIER.fast_path(ask(None)).kind == "no_answer"
    assert VERIFIER.fast_path(ask(DOUBLE)) is None
    code._require_isolation.cache_clear()

    def refuse():
        msg = "no isolation"
        raise EngineFailed(msg)

    monkeypatch.setattr(code, "Sandbox", refuse)
    with pytest.raises(EngineFailed, match="no isolation"):
        VERIFIER.fast_path(ask(DOUBLE))
    assert VERIFIER.fast_path(ask(None)).kind == "no_answer"


def test_verify_sandbox_that_broke_is_replaced_for_the_next_answer():
    assert verdict(DOUBLE).kind == "correct"
    VERIFIER._sandbox._process.kill()
    with pytest.raises(EngineFailed):
        verdict(DOUBLE)
    assert verdict(DOUBLE).kind == "correct"


def test_pool_verifies_programs_and_mathematics_side_by_side():
    with VerifierPool(30, workers=2) as pool:
        requests = [ask(DOUBLE), VerificationRequest("math", "7.0", "7"), ask("```python\nprint(0)\n```")]
        assert [found.kind for found in pool.verify(requests)] == ["correct", "correct", "wrong"]


def test_weak_isolation_is_named_in_the_method(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ISOLATION", "weak")
    verifier = CodeVerifier()
    assert verifier.verify(ask(DOUBLE)).method == "sandbox, weak isolation"
    verifier.close()
