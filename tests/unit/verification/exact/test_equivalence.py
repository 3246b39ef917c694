import pytest

from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact import equivalence
from stillhouse.verification.exact.formulas import read


def equal(gold, answer, **rules):
    return equivalence.equal(read(gold), read(answer), AnswerRules(**rules))


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("0.333333", "\\frac{1}{3}", True),
        ("0.33333", "\\frac{1}{3}", False),
        ("36.0000001", "36", False),
        ("36.0", "36", True),
        ("1.00000001", "1.00000002", False),
        ("0.30000000000000004", "0.3", True),
        ("(2,1)", "2, 1", True),
        ("(2,1)", "1, 2", False),
        ("[1,2]", "1, 2", False),
        ("(1,\\infty)", "(1,\\infty]", True),
        ("x", "2x", False),
        ("100,200,300", "300, 200, 100", False),
        ("\\sin^2 x + \\cos^2 x", "1", True),
        ("\\frac{x^2-1}{x-1}", "x+1", True),
        ("f(2x)", "2f(x)", False),
    ],
)
def test_equal_compares_every_part(gold, answer, right):
    assert equal(gold, answer) is right


@pytest.mark.parametrize(
    ("gold", "answer", "rules", "right"),
    [
        ("9.81", "9.8", {"absolute": 0.02}, True),
        ("9.81", "9.7", {"absolute": 0.02}, False),
        ("200", "201", {"relative": 0.01}, True),
        ("200", "203", {"relative": 0.01}, False),
        ("3.14159", "3.142", {"significant_digits": 3}, True),
        ("3.14159", "3.152", {"significant_digits": 3}, False),
        ("1.6e-19", "1.602e-19", {"relative": 0.01}, True),
        ("1.6e-19", "9.1e-31", {"relative": 0.01}, False),
        ("5\\text{ cm}", "5", {"units": "required"}, False),
        ("5\\text{ cm}", "5\\text{ cm}", {"units": "required"}, True),
        ("1, 2", "2, 1", {"ordered": True}, False),
        ("1, 2", "1, 2", {"ordered": True}, True),
        ("\\{1, 2\\}", "\\{2, 1\\}", {"ordered": True}, False),
    ],
)
def test_equal_follows_the_question_s_rules(gold, answer, rules, right):
    assert equal(gold, answer, **rules) is right


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("5\\text{ cm}", "0.05\\text{ m}", True),
        ("5\\text{ cm}", "0.5\\text{ m}", False),
        ("36\\text{ km/h}", "10\\text{ m/s}", True),
        ("1\\text{ hour}", "60\\text{ minutes}", True),
        ("5\\text{ cm}", "5\\text{ s}", False),
        ("1\\text{ kWh}", "3600\\text{ kJ}", True),
    ],
)
def test_equal_converts_units_where_the_question_allows_it(gold, answer, right):
    pytest.importorskip("pint")
    assert equal(gold, answer, units="convert") is right
    assert equal(gold, answer) is False
