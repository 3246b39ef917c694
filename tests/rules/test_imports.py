import subprocess
import sys

import pytest

from stillhouse.stages import DATA_PATH
from tests.rules.test_source import HEAVY

MODULES = [
    "stillhouse.__main__",
    "stillhouse.testing",
    "stillhouse.exchange.jsonl",
    *(f"stillhouse.stages.{name}" for name in DATA_PATH),
]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_of_all_stages_and_the_cli_loads_nothing_heavy():
    assert loaded_by(f"import {', '.join(MODULES)}") & HEAVY <= {"numpy"}  # pyarrow loads it, in 0.1 s


def test_loaded_by_heavy_library_is_seen():
    """That the test above can fail."""
    assert "polars" in loaded_by("import polars")


@pytest.mark.parametrize("layer", ["stillhouse.execution.recipes", "stillhouse.execution.command", "stillhouse.artifacts.manifest"])
def test_import_of_what_dags_use_loads_no_stage(layer):
    code = f"import sys, {layer}\nprint(*[name for name in sys.modules if name.startswith('stillhouse.stages.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
