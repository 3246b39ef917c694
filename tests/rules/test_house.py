"""The plan of the house: rooms, floors and names, as ``docs/architecture.md`` draws them."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "stillhouse"
MODULES = sorted(path for path in SRC.rglob("*.py"))
AT_THE_TOP = {"__init__", "__main__", "errors", "testing"}
SHARED_NAMES = {"__init__", "config"}
"""Module names that every package may have."""
CONTRACT_NAMES = {"Config", "Inputs"}
"""Class names that the stage contract gives to every stage."""
CONFIG_MODULES = 64
"""Modules of stillhouse that all configs together may load: Airflow imports them for each DAG file it parses."""
READ_THE_ENVIRONMENT = {
    "execution/processes.py", "vocabulary/environment.py",
}  # fmt: skip


def relative(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def packages_imported(path: Path) -> set[str]:
    """Packages of stillhouse that a module imports, anywhere in it: in functions and for annotations too."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "stillhouse":
            words = (node.module or "").split(".")
            names |= {words[1]} if len(words) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("stillhouse.")}
    return names


def test_modules_at_the_top_are_the_four_that_may_be_there():
    assert {path.stem for path in SRC.glob("*.py")} == AT_THE_TOP


def test_packages_never_import_each_other_both_ways():
    imports = defaultdict(set)
    for path in MODULES:
        if path.parent != SRC:
            package = path.relative_to(SRC).parts[0]
            imports[package] |= packages_imported(path) - {package}
    assert len(imports) > 10
    both_ways = {
        tuple(sorted((one, other))) for one, others in imports.items() for other in others if one in imports.get(other, ())
    }
    assert both_ways == set()


def test_module_names_are_used_once():
    names = Counter(path.stem for path in MODULES if path.stem not in SHARED_NAMES)
    assert {name for name, count in names.items() if count > 1} == set()


def test_class_names_are_used_once():
    names = Counter(node.name for path in MODULES for node in tree(path).body if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} - CONTRACT_NAMES == set()


def test_configs_load_few_modules_and_nothing_heavy():
    """All ``config.py`` in one process, as Airflow loads them to build its trigger forms."""
    names = [f"stillhouse.{relative(path).removesuffix('.py').replace('/', '.')}" for path in SRC.rglob("config.py")]
    assert len(names) > 5
    code = f"import sys, {', '.join(names)}\nprint(*[name for name in sys.modules if name.startswith('stillhouse')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(names) <= set(loaded)
    assert len(loaded) < CONFIG_MODULES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_counts_are_told_by_their_type_not_by_the_start_of_a_name(path):
    """``startswith("n_")`` reads a schema out of names; shards alone add counts up by it, as the contract says."""
    text = path.read_text(encoding="utf-8")
    assert relative(path) == "artifacts/assembly.py" or not re.search(r"startswith\(\s*[\"']n_", text)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_environment_is_read_where_it_may_be(path):
    """Everything else asks ``vocabulary.environment``, which checks what a variable holds."""
    reads = set()
    for node in ast.walk(tree(path)):
        called = isinstance(node, ast.Call) and ast.unparse(node.func)
        if called in {"os.environ.get", "os.getenv"}:
            reads |= set(re.findall(r"[\"'](\w+)[\"']", ast.unparse(node))[:1]) or {ast.unparse(node)}
    own = {name for name in reads if "STILLHOUSE" in name or not name.isupper()}
    assert relative(path) in READ_THE_ENVIRONMENT or own == set()


def test_public_members_are_exported_and_documented():
    stillhouse = importlib.import_module("stillhouse")
    public = set(stillhouse.__all__)
    assert len(public) > 8
    assert public == {name for name in dir(stillhouse) if not name.startswith("_")} | {"__version__"}
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert {name for name in public if name not in page} == set()
    assert [name for name in public - {"__version__"} if not inspect.getdoc(getattr(stillhouse, name))] == []
