"""Rules that every source file keeps, checked by reading the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for top in ("src", "operators", "dags", "laptop") for path in (ROOT / top).rglob("*.py"))
STAGE_LINES, MODULE_LINES, FUNCTION_LINES = 120, 300, 40
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
FROM_STILLHOUSE = {
    "dags": {"api", "artifacts", "errors", "execution", "stages", "vocabulary"},
    "operators": {"api", "artifacts", "errors", "execution", "stages", "vocabulary"},
    "laptop": {"api", "artifacts", "benchmarks", "errors", "execution", "models", "reporting", "vocabulary", "watching"},
}
"""What may be imported of stillhouse, by top folder. Import-linter says the same of operators and laptop; dags is no package."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def imported(path: Path) -> set[str]:
    """Dotted names of every import in the file, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_module_line_budget_is_kept(path):
    budget = STAGE_LINES if path.parent.name == "stages" else MODULE_LINES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= budget


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_function_line_budget_is_kept(path):
    lengths = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in functions(path)}
    # A DAG's function is the DAG: its length is the path's.
    too_long = {name: length for name, length in lengths.items() if length > FUNCTION_LINES and path.parent.name != "dags"}
    assert too_long == {}


def test_module_names_say_what_is_inside():
    assert [relative(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if path.stem != "__init__"], ids=relative)
def test_module_has_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted((ROOT / "src/stillhouse/stages").glob("[a-z]*.py")), ids=relative)
def test_stage_docstring_begins_with_input_to_output(path):
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
    made = first.partition(": ")[0].split(" -> ")
    assert len(made) == 2
    assert made[1].split()[-1] == path.stem


@pytest.mark.parametrize("top", FROM_STILLHOUSE)
def test_control_side_imports_of_stillhouse_only_what_it_may(top):
    files = [path for path in SOURCES if path.relative_to(ROOT).parts[0] == top]
    assert files or top == "dags"
    names = {(relative(path), name) for path in files for name in imported(path) if name.split(".")[0] == "stillhouse"}
    assert {(path, name) for path, name in names if name.split(".")[1] not in FROM_STILLHOUSE[top]} == set()


@pytest.mark.parametrize("name", ["mlflow", "boto3"])
def test_seam_library_is_imported_at_its_seam_alone(name):
    allowed = {
        "mlflow": {"src/stillhouse/execution/mlflow_runs.py", "src/stillhouse/execution/mlflow_models.py"},
        "boto3": {"src/stillhouse/artifacts/s3.py"},
    }[name]
    users = {relative(path) for path in (ROOT / "src").rglob("*.py") if any(each.split(".")[0] == name for each in imported(path))}
    assert users == allowed


def trusts_nothing(call: ast.Call) -> bool:
    """Says no, or what ``loadable.is_trusted`` said; an adapter of peft holds no code."""
    values = [word.value for word in call.keywords if word.arg == "trust_remote_code"]
    allowed = [getattr(value, "value", None) is False or getattr(value, "id", "") == "trusted" for value in values]
    return allowed == [True] or ast.unparse(call.func) == "PeftModel.from_pretrained"


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=relative)
def test_loading_a_model_never_runs_its_code(path):
    """Left out, transformers asks on a terminal; the call itself has to say no."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {"from_pretrained", "SentenceTransformer"}
    loads = [call for call in calls if (getattr(call.func, "attr", None) or getattr(call.func, "id", None)) in names]
    assert [call.lineno for call in loads if not trusts_nothing(call)] == []
