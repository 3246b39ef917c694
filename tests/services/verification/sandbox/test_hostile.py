"""Hostile programs: none gets out, and nothing of any survives its run."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.verification.sandbox import visible
from tests.services.verification.sandbox import hostile
from tests.services.verification.sandbox.traces import traces

CUT = {
    "infinite loop": "time_limit", "infinite loop that ignores SIGXCPU": "time_limit", "all signals blocked": "time_limit",
    "sleep": "time_limit", "waiting for a signal": "time_limit", "busy threads": "time_limit", "a number too large": "time_limit",
    "regular expression bomb": "time_limit", "exit handlers": "time_limit", "memory bomb": "memory_limit",
    "memory creep": "memory_limit", "mapped memory": "memory_limit", "zip bomb": "memory_limit", "output flood": "output_limit",
    "error flood": "output_limit", "output flood that ignores errors": "output_limit", "fork bomb": "runtime_error",
    "crash": "runtime_error", "abort, for a core file": "runtime_error",
}  # fmt: skip
"""How those end that a limit is to cut short."""


@pytest.fixture
def victim(tmp_path_factory):
    """A file of the host's that everybody may read and write, but for the sandbox."""
    path = tmp_path_factory.mktemp("victim") / "victim"
    for each in (path.parent, path.parent.parent, path.parent.parent.parent):
        each.chmod(0o755)
    path.write_text("host")
    path.chmod(0o666)
    return path


@pytest.mark.parametrize("name", [name for name in hostile.PROGRAMS if name not in hostile.SLOW])
def test_hostile_program_gets_nowhere_and_leaves_nothing(sandbox, victim, name):
    check(sandbox, victim, name, hostile.LIMITS)


@pytest.mark.parametrize("sandbox", [""], ids=["namespaces"], indirect=True)
@pytest.mark.parametrize("name", hostile.SLOW)
def test_hostile_program_that_the_clock_cuts_gets_nowhere_and_leaves_nothing(sandbox, victim, name):
    check(sandbox, victim, name, replace(hostile.LIMITS, wall_s=0.5) if name in hostile.SLEEPING else hostile.LIMITS)


def check(sandbox, victim, name, limits):
    """One program, what it wrote, how it ended, and what is left of it."""
    before = traces(sandbox)
    outcome = sandbox.python(hostile.whole(hostile.PROGRAMS[name], str(victim)), b"input", limits)
    assert "ESCAPED" not in outcome.stdout.decode(errors="replace"), outcome
    assert outcome.ending == CUT.get(name, outcome.ending), outcome
    assert victim.read_text() == "host"
    assert traces(sandbox) == before
    assert sandbox.python(b"print(input())", b"still here").stdout == b"still here\n"


@pytest.mark.parametrize("name", ["fork bomb", "double fork and setsid", "a thread that outlives the program"])
def test_hostile_program_that_may_fork_is_killed_with_all_its_children(sandbox, victim, name):
    before = traces(sandbox)
    program = hostile.PROGRAMS[name].replace("os.setsid()", "0")
    outcome = sandbox.python(hostile.whole(program, str(victim)), limits=replace(hostile.LIMITS, processes=16, threads=16))
    assert outcome.ending in ("time_limit", "runtime_error", "finished")
    assert traces(sandbox) == before


@pytest.mark.parametrize("name", hostile.CHEATS)
def test_cheat_at_an_assertion_does_not_pass(sandbox, name):
    before = traces(sandbox)
    outcome = sandbox.tested(hostile.CHEATS[name].encode(), hostile.ASSERTION.encode(), limits=hostile.LIMITS)
    assert outcome.ending != "finished"
    assert outcome.code != 0
    assert traces(sandbox) == before


@pytest.mark.skipif(os.getuid() != 0, reason="not root: every test here is unprivileged")
@pytest.mark.parametrize("isolation", ["", "portable"])
def test_hostile_programs_get_nowhere_where_nobody_is_root(isolation, victim):
    python = sys.executable if visible.readable_by_all() else shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if python is None:
        pytest.skip("no Python that another user can read")
    source = Path(visible.__file__).parents[3]
    done = subprocess.run(
        [python, str(Path(hostile.__file__).with_name("unprivileged.py")), str(source), str(victim)],
        user=54_321, group=54_321, extra_groups=[], cwd="/", stdout=subprocess.PIPE, check=True, text=True,
        env={"PATH": os.environ["PATH"], "STILLHOUSE_ISOLATION": isolation, "STILLHOUSE_SECRET": "not to be seen"},
    )  # fmt: skip
    first, *results = map(json.loads, done.stdout.splitlines())
    if first.get("isolation") != (isolation or "namespaces"):
        pytest.skip(first.get("refused", "this kernel allows no namespaces to an ordinary user"))
    assert len(results) == len(hostile.PROGRAMS) - len(hostile.SLOW)
    assert [each for each in results if "ESCAPED" in each["written"]] == []
    assert [each for each in results if not each["clean"]] == []
    assert {each["name"]: each["ending"] for each in results if each["name"] in CUT and each["ending"] != CUT[each["name"]]} == {}
    assert victim.read_text() == "host"
