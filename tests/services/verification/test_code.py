import json

import pytest

from stillhouse.errors import EngineFailed
from stillhouse.verification import code
from stillhouse.verification.code import CodeVerifier, ScientificCodeVerifier
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.sandbox import visible
from stillhouse.verification.sandbox.limits import SLOW
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


def test_verify_larger_tolerance_holds_only_where_the_tests_declare_it():
    tests = {"inputs": [""], "outputs": ["0.3333"]}
    assert verdict("```python\nprint(1 / 3)\n```", tests).kind == "wrong"
    assert verdict("```python\nprint(1 / 3)\n```", tests | {"tolerance": 1e-3}).kind == "correct"


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


def test_deadline_covers_every_test_two_that_are_starved_and_the_compiler():
    assert VERIFIER.deadline_s(ask(DOUBLE, PAIRS | {"time_limit_s": 2}), 10) == 10 + 4 * 6 + 2 * SLOW * 5
    cpp = PAIRS | {"language": "cpp", "time_limit_s": 2}
    assert VERIFIER.deadline_s(ask(DOUBLE, cpp), 10) == 10 + 4 * 6 + 2 * SLOW * 5 + 2 * SLOW * 60
    assert VERIFIER.deadline_s(ask(DOUBLE, "{"), 10) == 10


def test_fast_path_only_what_needs_no_program_and_refuses_where_nothing_isolates(monkeypatch):
    assert VERIFIER.fast_path(ask(None)).kind == "no_answer"
    assert VERIFIER.fast_path(ask(DOUBLE)) is None
    code._require_isolation.cache_clear()

    def refuse(_):
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


ENDINGS = {
    "exit": ("print(1)\nexit()", ""),
    "quit as a value": ("done = quit\nprint(1)\ndone()", ""),
    "stdout closed": ("import sys\nprint(1)\nsys.stdout.close()", ""),
    "a file on 1 that is not closed": ("out = open(1, 'w')\nout.write('1')", ""),
    "a buffer on 1": ("import io\nout = io.BufferedWriter(io.FileIO(1, 'w', closefd=False))\nout.write(b'1')", ""),
    "stdout replaced": ("import sys, io\nsys.stdout.write('1')\nsys.stdout = io.StringIO()\nprint(2)", ""),
    "a finalizer": ("import os\nclass A:\n    def __del__(self, write=os.write): write(1, b'1')\na = A()", ""),
    "/dev/stdin": ("print(sum(map(int, open('/dev/stdin').read().split())))", "0 1"),
    "/proc/self/fd": ("open('/proc/self/fd/1', 'w').write(open('/proc/self/fd/0').read())", "1"),
    "/dev/fd": ("print(open('/dev/fd/0').read())", "1"),
    "/dev/stdout": ("with open('/dev/stdout', 'w') as f:\n    f.write('1')", ""),
    "copied": ("import shutil\nopen('a', 'w').write('1')\nshutil.copy2('a', 'b')\nprint(open('b').read())", ""),
    "chmod": ("import os\nopen('a', 'w').write('1')\nos.chmod('a', 0o600)\nprint(open('a').read())", ""),
    "a lock": ("import fcntl\nf = open('a', 'w')\nfcntl.flock(f, fcntl.LOCK_EX)\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint(1)", ""),
    "a big stack": (
        "import threading\nthreading.stack_size(1 << 30)\nt = threading.Thread(target=print, args=(1,))\nt.start()",
        "",
    ),
    "a stack limit": ("import resource\nresource.setrlimit(resource.RLIMIT_STACK, (1 << 28, -1))\nprint(1)", ""),
    "big integers": ("print(len(str(10 ** 6000)) - 6000)", ""),
    "all recursion": ("def f(n): return n and 1 + f(n - 1)\nprint(f(997) - 996)", ""),
    "the recursion limit": ("import sys\nprint(sys.getrecursionlimit() - 999)", ""),
    "its file": ("import os\nprint(len(os.path.basename(__file__)) - 9)", ""),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_verify_program_behaves_as_under_a_plain_interpreter(name):
    program, stdin = ENDINGS[name]
    assert verdict(f"```python\n{program}\n```", {"inputs": [stdin], "outputs": ["1"]}).detail == "1/1 passed"


def test_verify_recursion_beyond_the_limit_fails_as_natively():
    tests = {"inputs": [""], "outputs": ["1"]}
    assert "RecursionError" in verdict("```python\ndef f(n): return n and f(n - 1)\nprint(f(998) or 1)\n```", tests).detail


@pytest.mark.parametrize("code_", [65, 1, 3, 97])
def test_verify_exit_code_of_one_test_says_nothing_about_the_others(code_):
    numbers = [str(number) for number in range(1, 11)]
    found = verdict(
        f"```python\nx = input()\nif x > '1': raise SystemExit({code_})\nprint(x)\n```", {"inputs": numbers, "outputs": numbers}
    )
    assert (found.kind, found.verify_score) == ("partial", 0.1)
    assert found.detail.startswith("1/10 passed; runtime_error in 2, 3")


@pytest.mark.parametrize("words", ["MemoryError", "SyntaxError: no", "can't start new thread", "std::bad_alloc"])
def test_verify_words_on_standard_error_name_no_ending(words):
    found = verdict(
        f'```python\nimport sys\nprint("{words}", file=sys.stderr)\nsys.exit(3)\n```', {"inputs": [""], "outputs": ["1"]}
    )
    assert found.detail.startswith("0/1 passed; runtime_error in 1")


def test_verify_two_time_limits_end_the_tests():
    tests = {"inputs": [str(number) for number in range(10)], "outputs": ["0"] * 10, "time_limit_s": 0.5}
    found = verdict("```python\nx = input()\nwhile x != '0': pass\nprint(0)\n```", tests)
    assert (found.kind, found.verify_score) == ("partial", 0.1)
    assert found.detail.startswith("1/10 passed; time_limit in 2, 3; not run in 4, 5, 6, 7, 8, 9, 10")


def test_verify_program_that_got_no_processor_has_no_score(monkeypatch):
    assert verdict(DOUBLE).kind == "correct"
    ask_server = VERIFIER._sandbox._ask
    monkeypatch.setattr(VERIFIER._sandbox, "_ask", lambda *request: ask_server(*request) | {"cut": "starved"})
    found = verdict(DOUBLE)
    assert (found.kind, found.verify_score) == ("timeout", None)
    assert "of processor time used: the machine is too busy" in found.detail


@pytest.mark.parametrize(
    ("answer", "expected", "compare"),
    [
        ("print(len(deque([1])))", "1", "livecodebench"),
        ("import sys\nprint(1)\nsys.exit(1)", "1", "livecodebench"),
        ("print('  1  2 ')", "1 2", "livecodebench"),
        ("def f(n): return 0 if n == 0 else f(n - 1)\nprint(f(20_000))", "0", "livecodebench"),
        ("print(isqrt(1), reduce(add, [1]), dumps([]))", "1 1 []", "livecodebench"),
        ("print('YES')", "Yes", "tokens_any_case"),
        ("print('a', 'b', sep='\\n')", "a b", "tokens"),
    ],
)
def test_verify_compares_as_the_tests_say(answer, expected, compare):
    tests = {"inputs": [""], "outputs": [expected], "compare": compare}
    assert verdict(f"```python\n{answer}\n```", tests).kind == "correct"
    assert verdict(f"```python\n{answer}\n```", tests | {"compare": "lines"}).kind == "wrong"


def test_verify_livecodebench_gives_a_method_the_same_names_and_depth():
    method = "class Solution:\n    def f(self, n: List[int]):\n        return self.g(isqrt(n[0]))\n"
    program = f"{method}    def g(self, n):\n        return n and self.g(n - 1)"
    tests = {"fn_name": "f", "inputs": ["[100000000]"], "outputs": ["0"], "compare": "livecodebench"}
    assert verdict(f"```python\n{program}\n```", tests).kind == "correct"
    assert verdict(f"```python\n{program}\n```", tests | {"compare": "lines"}).kind == "wrong"


def test_verify_livecodebench_fails_a_program_that_raises_after_the_answer():
    tests = {"inputs": [""], "outputs": ["1"], "compare": "livecodebench"}
    assert verdict("```python\nprint(1)\n1 / 0\n```", tests).kind == "wrong"


CHECKED = {
    "inputs": ["2 5"], "outputs": ["2"],
    "checker": "def check(stdin, stdout, expected):\n    return int(stdout) != sum(map(int, stdin.split()))",
}  # fmt: skip


def test_verify_checker_decides_where_several_answers_are_right():
    assert verdict("```python\nprint(9)\n```", CHECKED).kind == "correct"
    assert verdict("```python\nprint(7)\n```", CHECKED).detail == "0/1 passed; wrong_output in 1; first: got '7', expected '2'"
    found = verdict("```python\nprint('many')\n```", CHECKED)
    assert found.kind == "error"
    assert "the checker failed on test 1: ValueError" in found.detail


@pytest.mark.parametrize(
    ("program", "given", "expected"),
    [
        ("class Solution:\n    def f(self, m):\n        m.reverse()", "[1, 2]", "[2, 1]"),
        ("def f(x):\n    return set(x)", "[2, 1]", "[1, 2]"),
        ("def f(x):\n    return (1, x)", "2", "[1, 2]"),
        ("from collections import deque\ndef f(x):\n    return deque(x)", "[1, 2]", "[1, 2]"),
    ],
)
def test_verify_value_of_a_call_is_read_as_judges_read_it(program, given, expected):
    assert verdict(f"```python\n{program}\n```", {"fn_name": "f", "inputs": [given], "outputs": [expected]}).detail == "1/1 passed"


def test_verify_difference_in_white_space_alone_is_shown():
    assert "got ' 1\\n', expected '1'" in verdict("```python\nprint(' 1')\n```", {"inputs": [""], "outputs": ["1"]}).detail


@compiler
@pytest.mark.parametrize(
    ("tag", "program"),
    [
        ("cpp", "#include <ranges>\n"
         "#include <vector>\n"
         "#include <cstdio>\n"
         'int main() { std::vector<int> v{1}; for (int x : v | std::views::reverse) printf("%d", x); }'),
        ("c++17", "#include <cstdio>\nint main() { struct { int requires; } a{1}; printf(\"%d\", a.requires); }"),
        ("cpp", "#include <cstdio>\nint main() { struct { int requires; } a{1}; printf(\"%d\", a.requires); }"),
        ("c++23", "#include <cstdio>\nint main() { if consteval { puts(\"0\"); } else { puts(\"1\"); } }"),
        ("c", "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { int *a = malloc(4); *a = 1; printf(\"%d\", *a); }"),
        ("cpp", "#include <cstdio>\n"
         'int main() { freopen("/dev/stdin", "r", stdin); int x; scanf("%d", &x); printf("%d", x); }'),
        ("cpp", "#include <thread>\n"
         "#include <vector>\n"
         "#include <cstdio>\n"
         "int main() { std::vector<std::thread> t; for (int i = 0; i < 8; i++) t.emplace_back([] {}); for "
         '(auto& x : t) x.join(); puts("1"); }'),
    ],
)  # fmt: skip
def test_verify_cpp_is_compiled_as_its_tag_says_and_runs_as_natively(tag, program):
    assert verdict(f"```{tag}\n{program}\n```", {"inputs": ["1"], "outputs": ["1"], "language": "cpp"}).detail == "1/1 passed"


@compiler
def test_verify_cpp_that_was_compiled_is_not_compiled_again(monkeypatch):
    answer = '```cpp\n#include <cstdio>\nint main() { puts("again"); }\n```'
    tests = {"inputs": [""], "outputs": ["again"], "language": "cpp"}
    assert verdict(answer, tests).kind == "correct"
    roles, run = [], VERIFIER._sandbox._run
    monkeypatch.setattr(VERIFIER._sandbox, "_run", lambda role, *rest: roles.append(role[0]) or run(role, *rest))
    assert verdict(answer, tests).kind == "correct"
    assert roles == ["binary"]


def test_verify_tests_that_need_libraries_say_which_and_what_to_set():
    found = verdict(
        "```python\ndef f(x): return x\n```",
        {"call_type": "assert", "assert_case": ["import numpy as np\nassert np.sum(f(1)) == 1"]},
    )
    assert (found.kind, found.detail) == ("error", "the tests import numpy: set libraries to scientific")


def test_scientific_libraries_that_are_missing_are_refused_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLHOUSE_SANDBOX_LIBRARIES", str(tmp_path))
    with pytest.raises(EngineFailed, match="run `make libraries`"):
        ScientificCodeVerifier().verify(ask(DOUBLE))


def test_scientific_libraries_are_importable_read_only_and_named_in_the_method(monkeypatch, tmp_path):
    package = tmp_path / "scientific" / "sortedcontainers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("SortedList = sorted\n")
    monkeypatch.setenv("STILLHOUSE_SANDBOX_LIBRARIES", str(tmp_path))
    verifier = ScientificCodeVerifier()
    write = "import sortedcontainers\ntry:\n    open(sortedcontainers.__file__, 'a')\nexcept OSError:\n"
    program = f"{write}    print(*sortedcontainers.SortedList([2, 1]))"
    found = verifier.verify(ask(f"```python\n{program}\n```", {"inputs": [""], "outputs": ["1 2"]}))
    verifier.close()
    assert (found.kind, found.method) == ("correct", "sandbox, scientific libraries")


def test_weak_isolation_is_named_in_the_method(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ISOLATION", "weak")
    verifier = CodeVerifier()
    assert verifier.verify(ask(DOUBLE)).method == "sandbox, weak isolation"
    verifier.close()
