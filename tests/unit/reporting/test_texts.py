import pytest

from stillhouse.reporting.texts import code_styles, has_formula, model_text


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "```html\n<svg onload=alert(1)>\n```",
        "```<b>\n</pre><script>\n```",
    ],
)
def test_model_text_with_markup_is_escaped(text):
    shown = model_text(text)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "<svg" not in shown


def test_model_text_fenced_code_is_highlighted_in_its_language():
    shown = model_text("before\n```python\ndef f():\n    return 1\n```\nafter")
    assert '<span class="k">def</span>' in shown
    assert shown.startswith('<div class="prose">before</div><pre class="code">')
    assert shown.endswith('<div class="prose">after</div>')


def test_model_text_code_without_an_end_or_a_known_language_is_plain():
    assert model_text("```nosuch\na < b") == '<pre class="code">a &lt; b</pre>'


def test_model_text_controls_are_shown_in_their_escaped_form():
    assert "\\x1b[31m\\u202e" in model_text("\x1b[31m\u202e")
    assert "\x1b" not in model_text("```\n\x1b\n```")


@pytest.mark.parametrize(
    ("text", "expected"), [("$x^2$", True), (r"so \(x\)", True), ("$$x$$", True), ("costs $5 or 6", False), ("x", False)]
)
def test_has_formula_tells_tex_from_prose(text, expected):
    assert has_formula(text) is expected


def test_code_styles_know_both_schemes():
    assert ".code .k " in code_styles()
    assert "prefers-color-scheme: dark" in code_styles()


def test_model_text_of_any_length_and_shape_stays_small():
    """Each of these took a minute, or made a page of many megabytes."""
    assert len(model_text("```python\n" + "x = f(1)\n" * 100_000)) < 1_000_000
    assert model_text("```python\n```\n" * 5_000).count("<pre") == 5_000
    assert model_text("``` " + "\t" * 100_000).startswith('<div class="prose">```')
    assert "characters left out" in model_text("so " * 100_000)


def test_model_text_many_blocks_are_all_shown_and_the_first_are_highlighted():
    shown = model_text("```python\ndef f(): pass\n```\n" * 60)
    assert shown.count("<pre") == 60
    assert shown.count('<span class="k">def</span>') == 50
