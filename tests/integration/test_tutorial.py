"""The tutorial's own commands, one after the other, as a reader would run them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(3600)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A directory in which every block of the page was run, and what they printed."""
    directory = tmp_path_factory.mktemp("tutorial")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | {"PATH": path}
    printed = []
    for language, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        command = [sys.executable, "-c", block] if language == "python" else ["bash", "-euc", block]
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    return directory, printed


def test_tutorial_commands_end_in_a_comparison_whose_gain_lies_beyond_its_interval(followed):
    directory, _ = followed
    manifest = json.loads((directory / "store/comparison/additions/1/manifest.json").read_text(encoding="utf-8"))
    (low,) = [value for name, value in manifest["metrics"].items() if name.endswith("/low")]
    assert low > 0
    assert (directory / "store/comparison/additions/1/comparison.html").stat().st_size > 10_000


def test_tutorial_trained_model_goes_back_to_the_file(followed):
    lineage = followed[1][-1]
    assert "store/questions/additions/1" in lineage
    assert "store/sft/student/1" in lineage
