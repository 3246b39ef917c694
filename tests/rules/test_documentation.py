"""The documentation builds without a warning, says what the code says, and no page of it loads anything from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stillhouse import stages

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'> ]+)[^>]*>")
NOT_LOADED = re.compile(r"rel=[\"']?(?:canonical|next|prev|edit)\b")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""})
    assert (done.returncode, done.stderr) == (0, "")
    return target


def test_documentation_lists_every_page_in_its_navigation(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert len(pages) > 8
    assert {path.stem for path in site.glob("*.html")} == pages | {"404", "reference"}


def test_documentation_no_page_loads_anything_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert pages
    outside = {
        (page.name, match[1])
        for page in pages
        for match in LOADED.finditer(page.read_text(encoding="utf-8"))
        if not NOT_LOADED.search(match[0])
    }
    assert outside == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", styles)


def test_documentation_loaded_by_elsewhere_is_seen():
    """That the test above can fail."""
    assert LOADED.search('<script async src="https://cdn.example/x.js"></script>')[1] == "https://cdn.example/x.js"
    assert not LOADED.search('<a href="https://arxiv.org/abs/2504.17565">')


def test_documentation_reference_has_every_field_of_every_stage(site):
    text = (site / "reference.html").read_text(encoding="utf-8")
    for name in stages.DATA_PATH:
        assert f'id="{name}"' in text
        assert [field for field in stages.config_of(name).model_fields if f"<code>{field}</code>" not in text] == []


def test_documentation_api_page_shows_every_function(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in ("compare", "grade", "lineage", "load_recipe", "pass_at_1", "read", "run", "verify"):
        assert f'id="{name}"' in text
    assert "BadConfig" in text


def test_project_files_are_there_and_agree():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"', project, re.MULTILINE)[1]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (version, "Apache-2.0")
    assert 'license = "Apache-2.0"' in project
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "### Changes fingerprints" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "mypy", "import-linter"}
