import pytest

from stillhouse.training.rl.environments.calculator import calculate


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 + 2 * 3", "7"), (" (1 + 2) * 3 ", "9"), ("7 / 2", "3.5"), ("8 / 2", "4"), ("7 // 2 - 7 % 4", "0"), ("-2 ** 2", "-4"),
        ("2 ** 100", str(2**100)), ("1e3 + .5", "1000.5"), ("+4", "4"), ("10 ** -2", "0.01"),
    ],
)  # fmt: skip
def test_calculate_arithmetic_gives_the_result(expression, result):
    assert calculate(expression) == result


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("__import__('os').getcwd()", "only numbers"),
        ("x + 1", "only numbers, .* got 'x'"),
        ("'a' * 3", "only numbers"),
        ("True + 1", "only numbers"),
        ("1 +", "not an arithmetic expression: '1 \\+'"),
        ("", "not an arithmetic expression"),
        ("9 ** 9 ** 9", "is not computed here"),
        ("(10 ** 90) * (10 ** 90)", "at most 100 digits"),
        ("(-8) ** 0.5", "is not computed here"),
        ("1 +" * 99 + "1", "at most 200 characters"),
    ],
)
def test_calculate_anything_else_is_refused(expression, problem):
    with pytest.raises(ValueError, match=problem):
        calculate(expression)


def test_calculate_division_by_zero_is_pythons_own_error():
    with pytest.raises(ZeroDivisionError):
        calculate("1 / 0")
