"""The Makefile's first check, with an interpreter that claims to be of another version."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CLAIMS = """#!{python}
import sys
if sys.argv[1] != "-c":
    sys.exit("the check was passed")
sys.version_info = {version}
exec(sys.argv[2])
"""


@pytest.fixture
def make_venv(tmp_path):
    """``make venv`` in a directory of its own; returns exit code and standard error."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()

    def run(version: tuple[int, int, int]) -> tuple[int, str]:
        fake = tmp_path / "python"
        fake.write_text(CLAIMS.format(python=sys.executable, version=version))
        fake.chmod(0o755)
        done = subprocess.run(["make", "venv", f"PYTHON={fake}"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 13, 0)])
def test_make_venv_python_of_the_wrong_age_is_one_line_that_says_what_to_do(make_venv, tmp_path, version):
    code, said = make_venv(version)
    assert code != 0
    ours = said.splitlines()[0]
    assert ours.startswith("error: Python 3.11 or 3.12 is needed")
    assert f"is {version[0]}.{version[1]}; run make PYTHON=python3.11" in ours
    assert not (tmp_path / ".venv").exists()


def test_make_venv_python_that_fits_passes_the_check(make_venv):
    code, said = make_venv((3, 12, 1))
    assert code != 0
    assert "the check was passed" in said
    assert "is needed" not in said
