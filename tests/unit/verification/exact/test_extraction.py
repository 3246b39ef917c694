import pytest

from stillhouse.verification.exact.extraction import Formula, closing_brace, formula


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("So \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("$x=1$ and the final answer is: $\\boxed{ 7 }$", "7"),
        ("$$\\boxed{7}$$", "7"),
        ("\\[\n\\boxed{7}\n\\]", "7"),
        ("$7$.", "7"),
        ("\\(\\frac12\\)", "\\frac12"),
        ("It costs \\$3, so $\\boxed{7}$ in all.", "7"),
    ],
)
def test_formula_is_what_the_box_or_the_only_delimiters_hold(text, content):
    assert formula(text) == Formula(content, latex=True)


@pytest.mark.parametrize(("text", "content"), [("42", "42"), ("-42.", "-42"), ("3/4.", "3/4."), ("seven", "seven")])
def test_formula_of_bare_text_is_the_text(text, content):
    assert formula(text) == Formula(content, latex=False)


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{1} and \\boxed{2}",
        "\\fbox{1}",
        "\\boxed{1",
        "\\boxed{10}\\%",
        "$\\boxed{1}$, $2$",
        "\\boxed{1}. The final answer is 2.",
        "The final answer is $2$. I hope it is correct. \\boxed{1}",
        "The final answer is $x$ and $\\boxed{1}$",
        "$x = \\boxed{1}$",
        "\\( a \\(\\boxed{1}\\)",
        "$$ \\boxed{1}$",
        "$1$ or $2$",
    ],
)
def test_formula_is_none_where_what_stands_around_it_may_change_the_answer(text):
    assert formula(text) is None


def test_closing_brace_is_the_matching_one():
    assert closing_brace("{a{b}c}d}", 0) == 6
    assert closing_brace("{a{b}", 0) is None
