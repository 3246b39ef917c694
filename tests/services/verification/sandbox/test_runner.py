import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.verification.sandbox import visible
from stillhouse.verification.sandbox.limits import MIB, Limits
from stillhouse.verification.sandbox.run_outcome import Outcome
from stillhouse.verification.sandbox.runner import Sandbox
from tests.services.verification.sandbox.traces import descendants

compiler = pytest.mark.skipif(visible.compiler() is None, reason="no C++ compiler on PATH")
SUM = b"#include <iostream>\nint main() { long a, b; std::cin >> a >> b; std::cout << a + b << std::endl; }"


def test_python_reads_its_input_and_its_output_comes_back(sandbox):
    outcome = sandbox.python(b"import sys\nprint(sum(map(int, sys.stdin)))\nprint('seen', file=sys.stderr)", b"1\n2\n")
    assert (outcome.ending, outcome.code, outcome.stdout, outcome.errors) == ("finished", 0, b"3\n", "seen\n")
    assert 0 < outcome.cpu_s < outcome.wall_s * 2


def test_python_input_by_descriptor_and_unicode_are_as_in_an_interpreter(sandbox):
    source = "import os\nname = open(0).readline()\nprint(name, end='', flush=True)\nos.write(1, 'ü'.encode())"
    assert sandbox.python(source.encode(), "ä\n".encode()).stdout == "ä\nü".encode()


def test_python_is_main_has_the_standard_library_and_a_big_thread(sandbox):
    source = b"""
import collections, decimal, hashlib, sqlite3, sys, threading, zoneinfo
sys.setrecursionlimit(1 << 20)
threading.stack_size(128 << 20)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
if __name__ == "__main__":
    thread = threading.Thread(target=lambda: print(depth(50_000)))
    thread.start(); thread.join()
    print(hashlib.sha256(b"").hexdigest()[:4])
"""
    assert sandbox.python(source).stdout == b"50000\ne3b0\n"


def test_python_runs_see_nothing_of_one_another(sandbox):
    sandbox.python(b"import builtins, math\nopen('left', 'w').write('x')\nmath.pi = builtins.left = 3\nprint(math.pi)")
    outcome = sandbox.python(b"import math, os\nprint(os.listdir(), math.pi > 3, 'left' in dir(__builtins__))")
    assert outcome.stdout == b"[] True False\n"


def test_python_has_a_tmp_of_its_own(sandbox):
    source = b"""
import os, tempfile
with tempfile.NamedTemporaryFile("w+") as file:
    file.write("x"); file.flush()
    print(open(file.name).read(), os.path.dirname(file.name) == os.getcwd())
os.makedirs("a/b"); os.symlink("a", "c"); os.rename("a/b", "b")
"""
    assert sandbox.python(source).stdout == b"x True\n"


def test_python_hashes_and_orders_alike_in_every_run(sandbox):
    assert len({sandbox.python(b"print(hash('x'), {'a', 'b', 'c'})").stdout for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("source", "ending", "said"),
    [
        (b"x = = 1", "compile_error", "SyntaxError"),
        (b"x\0", "compile_error", "Error"),
        (b"1 / 0", "runtime_error", "ZeroDivisionError"),
        (b"raise SystemExit(3)", "runtime_error", ""),
        (b"raise SystemExit('no')", "runtime_error", "no"),
        (b"x = 'x' * (1 << 32)", "memory_limit", "MemoryError"),
        (b"print('x' * (1 << 25))", "output_limit", ""),
        (b"while True: pass", "time_limit", ""),
        (b"import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "runtime_error", ""),
    ],
)
def test_python_ending_says_what_went_wrong(sandbox, source, ending, said):
    outcome = sandbox.python(source, limits=Limits(cpu_s=1))
    assert outcome.ending == ending, outcome
    assert said in outcome.errors


def test_python_ends_early_only_where_it_says_so(sandbox):
    assert sandbox.python(b"raise SystemExit(0)").ending == "finished"
    assert sandbox.python(b"import atexit\natexit.register(print, 'bye')").stdout == b"bye\n"


def test_tested_program_meets_each_kind_of_assertion(sandbox):
    source = b"""
class Stack:
    def __init__(self): self.items = []
    def push(self, item): self.items.append(item); return self
    def __len__(self): return len(self.items)
    def __eq__(self, other): return self.items == other.items
LIMIT = 7
def double(x): return [2 * each for each in x] if isinstance(x, list) else 2 * x
def sort(x): x.sort()
def apply(f, x): return f(x)
def pair(): return (1, {"a": {2, 3}}, b"x", 1j, 2 ** 99, float("inf"))
def fail(x): raise ValueError(f"bad {x}")
def sum(a, b): return a + b
"""
    passing = """
assert double([1, 2]) == [2, 4] and double(2.5) == 5.0 and LIMIT == 7
numbers = [3, 1, 2]
sort(numbers)
assert numbers == [1, 2, 3], numbers
assert apply(lambda x: x + 1, 4) == 5
assert pair() == (1, {"a": {2, 3}}, b"x", 1j, 2 ** 99, math.inf)
try:
    fail(3)
except ValueError as error:
    assert str(error) == "bad 3"
stack = Stack().push(1).push(2)
assert len(stack) == 2 and stack.items == [1, 2] and stack == Stack().push(1).push(2) and stack != Stack()
def check(candidate):
    for x in range(3):
        assert candidate(x) == 2 * x
check(double)
assert sum([1, 2]) == 3
"""
    assert sandbox.tested(source, passing.encode()).ending == "finished", sandbox.tested(source, passing.encode())
    assert sandbox.tested(source, b"assert sum(1, 2) == 3", own=["sum"]).ending == "finished"
    for failing in (b"assert double(2) == 5", b"assert fail(1)", b"assert missing(1)", b"assert not stack", b"assert Stack() == 3"):
        assert sandbox.tested(source, failing).ending == "runtime_error"


@pytest.mark.parametrize(
    ("patch", "test"),
    [
        ("import math\nmath.isclose = lambda *a, **k: True", b"assert math.isclose(f(3), 9)"),
        ("def all(x): return True", b"assert all(f(x) == 9 for x in [3])"),
        ("def len(x): return 1", b"assert len([f(3)] * 2) == 1"),
        ("class Counter(list):\n    __eq__ = lambda s, o: True", b"assert Counter([f(3)]) == Counter([9])"),
        ("import re\nre.match = lambda *a: True", b"assert re.match('9', str(f(3)))"),
    ],
)
def test_tested_program_cannot_change_what_the_test_compares_with(sandbox, patch, test):
    assert sandbox.tested(f"{patch}\nf = lambda x: 1".encode(), test).ending == "runtime_error"


@compiler
def test_cpp_is_compiled_once_and_run_for_each_input(sandbox):
    binary = sandbox.compiled(SUM)
    assert not isinstance(binary, Outcome), binary
    outcomes = [sandbox.binary(binary, stdin).stdout for stdin in (b"1 2", b"40 2")]
    binary.close()
    assert outcomes == [b"3\n", b"42\n"]


@compiler
@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"int main() { return x; }", "was not declared"),
        (b'#include "/etc/passwd"\nint main() {}', "/etc/passwd"),
        (b"#include </proc/self/environ>\nint main() {}", "environ"),
        (b'asm(".incbin \\"/etc/passwd\\"");int main() {}', "/etc/passwd"),
        (b'#include "/dev/zero"\nint main() {}', "/dev/zero"),
        (b"template <int n> struct A : A<n + 1> {}; A<0> a; int main() {}", "depth"),
    ],
)
def test_cpp_that_does_not_compile_says_why_and_has_read_nothing(sandbox, source, said):
    outcome = sandbox.compiled(source)
    assert isinstance(outcome, Outcome)
    assert outcome.ending != "finished"
    assert said in outcome.errors
    assert "root:" not in outcome.errors


CASES = {
    "for (;;);": "time_limit",
    "for (;;) std::cout << std::string(65536, 'x');": "output_limit",
    "std::vector<std::string> v; for (;;) v.emplace_back(1 << 20, 'x');": "memory_limit",
    "*(volatile int*)8 = 1;": "runtime_error",
    "std::abort();": "runtime_error",
    "escaped(fork() >= 0);": "runtime_error",
    "escaped(socket(2, 1, 0) >= 0);": "runtime_error",
    'escaped(bool(std::ifstream("/etc/passwd")));': "runtime_error",
    "escaped(kill(getppid(), 9) == 0);": "runtime_error",
    'execl("/bin/sh", "sh", "-c", "id; kill $PPID; cat /etc/passwd; mkdir /x", (char*)0);': "runtime_error",
}


@pytest.fixture(scope="module")
def cases(sandbox):
    """One program with all cases, chosen by the number it reads."""
    headers = ("iostream", "fstream", "string", "vector", "csignal", "cstdlib", "unistd.h", "sys/socket.h")
    include = "".join(f"#include <{header}>\n" for header in headers)
    branches = "".join(f"if (which == {place}) {{ {body} }}\n" for place, body in enumerate(CASES))
    escaped = 'void escaped(bool yes) { if (yes) std::cout << "ESCAPED" << std::endl; }\n'
    binary = sandbox.compiled(f"{include}{escaped}int main() {{ int which; std::cin >> which;\n{branches}return 1; }}".encode())
    assert not isinstance(binary, Outcome), binary
    yield binary
    binary.close()


@compiler
@pytest.mark.parametrize("body", CASES)
def test_cpp_program_is_confined_as_python_is(sandbox, cases, body):
    limits = Limits(cpu_s=1, memory_bytes=256 * MIB, stack_bytes=8 * MIB)
    outcome = sandbox.binary(cases, str(list(CASES).index(body)).encode(), limits)
    assert outcome.ending == CASES[body], outcome
    assert b"ESCAPED" not in outcome.stdout
    assert b"root:" not in outcome.stdout


def test_sandbox_survives_the_limits_of_a_worker_that_starts_it(tmp_path):
    script = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (5, resource.RLIM_INFINITY))\n"
        "from stillhouse.verification.sandbox.runner import Limits, Sandbox\n"
        "with Sandbox() as sandbox:\n"
        "    print(sandbox.python(b'print(len(bytearray(3 << 29)))', limits=Limits(memory_bytes=1 << 31)).stdout)\n"
    )
    assert run_script(script).stdout == f"{3 << 29!s}\\n".join(["b'", "'\n"])


def test_sandbox_whose_caller_is_killed_leaves_no_process():
    script = (
        "from tests.services.verification.sandbox.traces import descendants\n"
        "from stillhouse.verification.sandbox.runner import Sandbox\n"
        "sandbox = Sandbox()\n"
        "print(*descendants(sandbox.pid), flush=True)\n"
        'sandbox.python(b\'import time\\nopen("x", "w")\\nprint(1, flush=True)\\ntime.sleep(3600)\')\n'
    )
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment())
    handles = [os.pidfd_open(int(pid)) for pid in caller.stdout.readline().split()]
    caller.kill()
    caller.wait()
    caller.stdout.close()
    for handle in handles:
        assert select.select([handle], [], [], 30)[0]
        os.close(handle)
    assert handles


def test_sandbox_server_that_is_killed_is_reported_not_waited_for():
    with Sandbox() as sandbox:
        assert sandbox.python(b"print(1)").stdout == b"1\n"
        os.kill(sandbox.pid, signal.SIGKILL)
        with pytest.raises(EngineFailed, match="server"):
            sandbox.python(b"print(1)")


@pytest.mark.parametrize("victim", ["cleaner", "server"])
def test_sandbox_that_is_killed_leaves_nothing_in_memory(monkeypatch, victim):
    monkeypatch.setenv("STILLHOUSE_ISOLATION", "portable")
    with Sandbox() as sandbox:
        tmp = Path(sandbox.facts["tmp"])
        assert sandbox.python(b"print(1)").stdout == b"1\n"
        (tmp / "left").write_text("by a run")
        os.kill(sandbox.pid if victim == "cleaner" else max(descendants(sandbox.pid)), signal.SIGKILL)
    with Sandbox():  # the next server removes what the cleaner could not
        assert not tmp.exists()


def test_python_that_sleeps_is_cut_by_wall_time_and_one_that_computes_is_not(sandbox):
    limits = Limits(cpu_s=3, wall_s=1)
    assert sandbox.python(b"import time\ntime.sleep(60)", limits=limits).ending == "time_limit"
    source = b"import time\nstart = time.process_time()\nwhile time.process_time() < start + 0.5: pass\nprint(1)"
    assert sandbox.python(source, limits=limits).ending == "finished"


def test_python_that_is_cut_while_it_computes_is_called_starved(sandbox):
    outcome = sandbox.python(b"while True: pass", limits=Limits(cpu_s=30, wall_s=0.1))
    assert (outcome.ending, outcome.cpu_s < 30) == ("starved", True)


def test_sandbox_isolation_that_is_none_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ISOLATION", "none")
    with pytest.raises(BadConfig, match="'none'"):
        Sandbox()


DENIED = (
    "import struct, sys\n"
    "from stillhouse.verification.sandbox import kernel\n"
    "unshare = {'x86_64': 272, 'aarch64': 97}[kernel.MACHINE]\n"
    "code = [(0x20, 0, 0, 0), (0x15, 1, 0, 444), (0x15, 0, 1, unshare), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)]\n"
    "kernel.forbid_new_privileges()\n"
    "kernel.filter_system_calls(b''.join(struct.pack('HBBI', *each) for each in code))\n"
    "from stillhouse.errors import EngineFailed\n"
    "from stillhouse.verification.sandbox.runner import Sandbox\n"
    "try:\n"
    "    with Sandbox() as sandbox:\n"
    "        print(sandbox.isolation, sandbox.python(b'print(input())', b'runs').stdout.decode(), end='')\n"
    "except EngineFailed as error:\n"
    "    print(error)\n"
)
"""A process to which the kernel grants neither Landlock nor namespaces, as in a locked-down pod on an old kernel."""


def test_sandbox_without_landlock_and_namespaces_refuses_and_says_what_to_enable():
    done = run_script(DENIED)
    assert "no isolation for untrusted programs here (namespaces: " in done.stdout
    assert "portable: no Landlock: needs Linux 5.13" in done.stdout
    assert "STILLHOUSE_ISOLATION=weak" in done.stdout


def test_sandbox_weak_isolation_runs_where_asked_for_and_warns():
    done = run_script(DENIED, STILLHOUSE_ISOLATION="weak")
    assert done.stdout == "weak runs\n"
    assert "warning: STILLHOUSE_ISOLATION=weak" in done.stderr


def test_limits_of_a_run_are_its_own(sandbox):
    source = b"import resource\nprint(resource.getrlimit(resource.RLIMIT_AS)[1] >> 20, resource.getrlimit(resource.RLIMIT_CPU)[0])"
    assert sandbox.python(source, limits=replace(Limits(), memory_bytes=300 * MIB, cpu_s=2.5)).stdout == b"300 3\n"
    assert sandbox.python(source).stdout == b"1024 6\n"


def run_script(script, **more):
    return subprocess.run([sys.executable, "-c", script], env=environment() | more, capture_output=True, text=True, check=True)


def environment():
    return os.environ | {"PYTHONPATH": f"{Path(visible.__file__).parents[3]}{os.pathsep}{Path(__file__).parents[4]}"}


@pytest.mark.parametrize(("name", "mode"), [("/dev/stdin", "r"), ("/dev/stdout", "w"), ("/dev/stderr", "w"), ("/dev/fd/0", "r")])
def test_python_opens_its_own_streams_by_name(sandbox, name, mode):
    source = f"with open({name!r}, {mode!r}) as stream: print(stream.read() if {mode!r} == 'r' else stream.write('again'))"
    outcome = sandbox.python(source.encode(), b"input")
    assert outcome.ending == "finished"
    assert b"input" in outcome.stdout or b"5" in outcome.stdout


def test_python_can_do_nothing_with_a_namespace_or_another_process(sandbox):
    """Where mounts are not allowed, a program can open the handle of its own namespace, and do nothing with it."""
    source = b"""
import ctypes, fcntl, os
libc = ctypes.CDLL(None)
for name in ("net", "mnt", "pid", "user", "ipc", "uts", "cgroup"):
    try: handle = os.open("/proc/self/ns/" + name, os.O_RDONLY)
    except OSError: continue
    if libc.setns(handle, 0) != -1: print("entered", name)
    for request in (0xB701, 0xB702, 0xB703, 0xB704):
        try: print("asked", name, fcntl.ioctl(handle, request))
        except OSError: pass
for other in {1, os.getppid()} - {os.getpid(), 0}:
    for name in ("ns/net", "ns/user", "fd/0", "root", "cwd", "environ", "maps", "mem"):
        try: print("opened", other, name, os.open(f"/proc/{other}/{name}", os.O_RDONLY))
        except OSError: pass
print("done")
"""
    assert sandbox.python(source).stdout == b"done\n"


@pytest.mark.parametrize(
    "use",
    [
        "multiprocessing.Pool(2)",
        "multiprocessing.Lock()",
        "multiprocessing.Queue()",
        "os.fork()",
        "multiprocessing.Process().start()",
    ],
)
def test_python_that_wants_processes_of_its_own_is_a_runtime_error(sandbox, use):
    outcome = sandbox.python(f"import multiprocessing, os\n{use}".encode())
    assert outcome.ending == "runtime_error"
    assert "Error" in outcome.errors
    assert sandbox.python(b"print(1)").stdout == b"1\n"
