import ast
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.stages import DATA_PATH

HEAVY = {
    "accelerate", "boto3", "botocore", "datasets", "deepspeed", "faiss", "if_verifiable", "kubernetes", "langdetect",
    "math_verify", "mlflow", "nltk", "numpy", "pandas", "peft", "plotly", "polars", "psutil", "py3langid", "reasoning_gym",
    "rensa", "sentence_transformers", "tokenizers", "torch", "transformers", "trl", "vllm",
}  # fmt: skip
LIGHT = ("vocabulary", "artifacts", "execution", "stages")
"""Packages that import no heavy library at module level; so does every ``config.py``."""

MODULES = [
    "stillhouse.__main__",
    "stillhouse.testing",
    "stillhouse.exchange.jsonl",
    *(f"stillhouse.stages.{name}" for name in DATA_PATH),
]


SRC = Path(__file__).parents[2] / "src" / "stillhouse"
LIGHT_FILES = sorted({*SRC.glob("*.py"), *SRC.rglob("config.py"), *(path for name in LIGHT for path in (SRC / name).glob("*.py"))})


def imported_at_the_top(path: Path) -> set[str]:
    """Libraries that a module loads when it is imported; what is imported for annotations alone is not."""
    nodes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[0] for name in [*names, *(node.module or "" for node in nodes if isinstance(node, ast.ImportFrom))]}


@pytest.mark.parametrize("path", LIGHT_FILES, ids=lambda path: path.relative_to(SRC).as_posix())
def test_light_module_imports_no_heavy_library_at_its_top(path):
    assert imported_at_the_top(path) & HEAVY == set()


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
