import pytest

from stillhouse.reporting.run_page import write_run
from stillhouse.reporting.summary import Summary, collect
from stillhouse.reporting.teaching import cases
from tests.browser import chromium, tab
from tests.unit.reporting.published import publish_run
from tests.unit.reporting.test_run_page import FIRST, write_rows

__all__ = ["chromium", "tab"]

HOSTILE = """<script>document.title = "owned"</script><img src=x onerror="document.title='owned'">
$\\href{javascript:document.title='owned'}{click}$ $\\includegraphics{https://example.com/x.png}$ $\\htmlId{a}{b}$
</pre></details></main><script>document.title = "owned"</script>
```html
<svg onload="document.title='owned'">
```
"""


def test_run_page_runs_and_loads_nothing_that_a_model_wrote(tmp_path, tab):
    report = write_rows(tmp_path / "last", [(False, True)], HOSTILE, think=HOSTILE)
    write_run(tmp_path / "run.html", Summary(), FIRST, cases({"last": report}))
    tab.goto(f"file://{tmp_path}/run.html")
    tab.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    for link in tab.locator(".sample a").all():
        link.click()
    assert tab.title() == "Run of toy version 1"
    assert tab.requests == [f"file://{tmp_path}/run.html"]
    assert tab.locator("script").count() == 3, "KaTeX and what starts it"
    assert tab.locator("img, .sample svg").count() == 0
    assert tab.problems == []


def test_run_page_shows_formulas_and_code(tmp_path, tab):
    text = "So $\\frac{1}{2}$ and \\[x^2\\].\n```python\nprint('$x$')\n```\nBroken: $\\frac{$"
    report = write_rows(tmp_path / "last", [(False, True)], text, answer=text, think="hm")
    write_run(tmp_path / "run.html", Summary(), FIRST, cases({"last": report}))
    tab.goto(f"file://{tmp_path}/run.html")
    tab.locator("details.sample summary").first.click()
    assert tab.locator(".pair > div").first.locator(".katex").count() == 2
    assert tab.locator(".pair .code").first.inner_text().strip() == "print('$x$')", "code is no formula"
    assert "Broken: $\\frac{$" in tab.locator(".pair").first.inner_text()
    assert tab.evaluate("document.fonts.check('12px KaTeX_Main')")


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_run_page_fits_narrow_and_wide_light_and_dark(tmp_path, tab, width, scheme):
    last, trained, others = publish_run(tmp_path)
    write_run(tmp_path / "run.html", collect([last, trained, *others]), FIRST)
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto(f"file://{tmp_path}/run.html")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 27, 34)"}[scheme]
    assert tab.problems == []
