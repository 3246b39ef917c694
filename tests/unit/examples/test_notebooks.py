"""The notebooks of ``examples/`` run from top to bottom, cell by cell in one namespace, and are kept without outputs."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def test_examples_has_the_two_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["compare_reports", "verify_and_grade"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_its_own_assertions_hold(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    namespace = {"__name__": "__main__"}
    sources = ["".join(cell["source"]) for cell in cells(path, "code")]
    assert any("assert " in source for source in sources)
    for number, source in enumerate(sources):
        exec(compile(source, f"{path.name}, cell {number}", "exec"), namespace)  # noqa: S102


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs_and_begins_with_a_heading(path):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(path, "code"))
    assert cells(path, "markdown")[0]["source"][0].startswith("# ")
