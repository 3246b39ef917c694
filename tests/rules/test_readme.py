import re
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.__main__ import COMMANDS
from stillhouse.stages import DATA_PATH

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TOOLS = COMMANDS - {*DATA_PATH}


def code(text: str) -> str:
    """The fenced and inline commands of a page: prose may say "make sense", and Python ``import stillhouse as sh``."""
    text = re.sub(r"```python.*?```", "", text, flags=re.DOTALL)
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))


def commands(program: str) -> set[str]:
    return set(re.findall(rf"(?:^|[\s`/]){program} ([a-z][\w-]*)", code(README.read_text(encoding="utf-8")), flags=re.MULTILINE))


def test_readme_make_targets_exist():
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = commands("make")
    assert named
    assert named - targets == set()


def test_readme_stillhouse_commands_exist():
    named = commands("stillhouse")
    assert named
    assert named - {*DATA_PATH, *TOOLS} == set()


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_tool_command_exists(name):
    done = subprocess.run([Path(sys.executable).with_name("stillhouse"), name, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_readme_recipes_exist():
    from stillhouse.execution.recipes import recipes

    named = set(re.findall(r"@([a-z][\w.-]*/[\w-]+)(?![\w./-])", code(README.read_text(encoding="utf-8"))))
    assert named - set(recipes()) == set()
