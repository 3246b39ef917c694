import itertools

import pytest

from stillhouse.verification.exact import equivalence
from stillhouse.verification.exact.formulas import read
from stillhouse.verification.exact.plain_forms import LONGEST_PLAIN, plain, same_plain

PLAIN = [
    "0", "5", "-5", "007", "1,234", "1234", "\\$5", "$5", "5.0", "5.00", "0.5", ".5", "0.333333", "0.33", "5\\%", "5%", "1/2",
    "2/4", "\\frac{1}{2}", "\\dfrac{-2}{4}", "-\\frac12", "\\frac{6}{2}", "(1,2)", "(1, 2]", "[1,2]", "\\left(1,2\\right)",
    "(2,1)",
    "(1/2, 0.5)", "(1,2,3)", "[1,2,3]", "2\\sqrt{3}", "\\sqrt{12}", "\\sqrt{3}", "\\sqrt{4}", "2", "\\frac{\\sqrt{2}}{2}",
    "\\frac{1}{2}\\sqrt{2}", "\\frac{2}{\\sqrt{4}}", "x", "-x", "x^2+3x+2", "(x+1)(x+2)", "(x+1)^2", "x^{2}+2x+1", "2x^{12}", "y+1",
    "x - x", "\\pi", "2\\pi", "\\frac{4\\pi}{2}", "(x+1, 2)", "(1+x, 2)", "2^{10}", "1024", "1023", "2^10",
]  # fmt: skip


@pytest.mark.parametrize("gold", PLAIN)
def test_same_plain_says_of_every_pair_what_the_general_rules_say(gold):
    assert plain(gold) is not None
    for answer in PLAIN:
        verdict = same_plain(plain(gold), plain(answer))
        general = any(
            equivalence.equal(read(gold.strip("$"), thousands=one), read(answer.strip("$"), thousands=other))
            for one, other in itertools.product((True, False), repeat=2)
        )
        assert verdict in (None, general), answer


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("1,234", "1234", True),
        ("1,234", "1235", None),
        ("5", "5,005", None),
        ("0.25", "\\frac{1}{4}", True),
        ("0.25", "0.26", None),
        ("0.25", "0.35", False),
        ("0.333333", "\\frac{1}{3}", None),
        ("50\\%", "50%", True),
        ("50\\%", "0.5", None),
        ("\\sqrt{12}", "2\\sqrt{3}", True),
        ("\\sqrt{2}", "1.414", None),
        ("x^2+3x+2", "(x+1)(x+2)", True),
        ("x^2+3x+2", "(x+1)(x+3)", False),
        ("(1,2)", "(1,2]", False),
        ("(1,2)", "(1,2,3)", False),
        ("5", "(5,5)", False),
    ],
)
def test_same_plain_decides_exact_forms_and_leaves_digits_and_lists_to_the_general_rules(gold, answer, verdict):
    assert same_plain(plain(gold), plain(answer)) is verdict


NOT_PLAIN = [
    "", "5 cm", "5e3", "2i", "3m", "1 2", "1\\frac{1}{2}", "1/0", "\\frac{1}{0}", "x2", "xy", "f(x)", "2^{-1}", "x^{13}",
    "\\sqrt{x}",
    "\\sqrt{-1}", "\\sqrt[3]{8}", "1{,}234", "[1]", "(50\\%, 1)", "(1,", "\\int_0^1 x dx", "x^2^3", "5!", "9" * LONGEST_PLAIN,
    "(a+b+k+n+p+q+x+y+z)^9", "(" * 15 + "9" + "^12)" * 15, "(" * 9 + "\\frac{1}{9}" + ")^9" * 9, "(" * 60 + "1",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_plain_leaves_alone_what_could_be_read_otherwise(text):
    assert plain(text) is None
