import base64
import hashlib
import re

import pytest

from stillhouse.reporting.rendering import ASSETS, TEMPLATES, rendered

OTHERS = sorted(path for path in TEMPLATES.glob("*.j2") if path.name != "base.html.j2")


@pytest.mark.parametrize("template", OTHERS, ids=lambda path: path.name)
def test_templates_leave_scripts_to_the_base_whose_policy_knows_them(template):
    """A script in a template would not run: the page's policy lets only those of ``scripts`` run."""
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<script|\bon\w+=|javascript:", text)


def test_policy_lets_the_pages_own_scripts_run_and_nothing_else():
    page, policy = rendered("view_error.html.j2", scripts=["view.js"], title="t", error="<script>alert(1)</script>", home="/")
    digest = base64.b64encode(hashlib.sha256((ASSETS / "view.js").read_bytes()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "connect-src 'none'" in policy
    assert page.count("<script>") == 1
    assert "<script>alert" not in page


def test_page_without_scripts_runs_none_and_talks_to_its_own_server_only_if_it_has_one():
    _, policy = rendered("view_error.html.j2", server=True, title="t", error="e", home="/")
    assert "script-src 'none'" in policy
    assert "form-action 'self'; connect-src 'self'" in policy


def test_katex_is_the_pinned_version_with_its_licence():
    assert 'version:"0.19.1"' in (ASSETS / "katex" / "katex.min.js").read_text(encoding="utf-8").replace(" ", "")
    assert "MIT License" in (ASSETS / "katex" / "LICENSE").read_text(encoding="utf-8")
    assert not re.search(r"url\((?!data:)", (ASSETS / "katex" / "katex.css").read_text(encoding="utf-8")), "nothing is loaded"
