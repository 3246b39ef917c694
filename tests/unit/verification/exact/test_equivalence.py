import pytest

from stillhouse.verification.exact import equivalence
from stillhouse.verification.exact.parsing import read


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("0.333333", "\\frac{1}{3}", True),
        ("0.33333", "\\frac{1}{3}", False),
        ("36.0000001", "36", None),
        ("36.0", "36", True),
        ("10\\%", "0.1", True),
        ("10\\%", "10", True),
        ("10\\%", "\\frac{1}{10}", True),
        ("10\\%", "11", False),
        ("1, 2", "2, 1", True),
        ("(2,1)", "2, 1", True),
        ("(2,1)", "1, 2", False),
        ("(1,2)", "1, 2", True),
        ("[1,2]", "1, 2", False),
        ("[1,2]", "(1,2)", False),
        ("(1,\\infty)", "(1,\\infty]", True),
        ("\\{1, 1.000001\\}", "\\{1, 2\\}", None),
        ("x", "2x", None),
        ("2x+x", "3x", True),
        ("(1,2,x)", "(1,3,x)", False),
        ("(1,2,x)", "(1,2,x)", None),
        ("5", "(1,5)", False),
    ],
)
def test_equal_is_math_verify_s_or_not_certain(gold, answer, equal):
    assert equivalence.equal(read(gold), read(answer)) is equal
