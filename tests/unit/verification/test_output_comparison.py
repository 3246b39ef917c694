import pytest

from stillhouse.verification.output_comparison import same_output, same_value


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "same"),
    [
        ("1 2\n", "1 2", None, True),
        ("1 2  \n\n\n", "1 2\n", None, True),
        ("1\r\n2\r\n", "1\n2\n", None, True),
        ("", "\n", None, True),
        (" 1", "1", None, False),
        ("1  2", "1 2", None, True),
        ("a  b", "a b", None, False),
        ("1\n\n2", "1\n2", None, False),
        ("yes", "Yes", None, False),
        ("2.50", "2.5", None, True),
        ("2.0", "2", None, True),
        ("11", "0011", None, False),
        ("07", "7", None, False),
        ("+5", "5", None, False),
        ("0.50", "0.5", None, True),
        ("-0.5", "-.5", None, True),
        ("1\u00a02", "1 2", None, False),
        ("1\t2 ", "1 2", None, True),
        ("2.0000001", "2", None, False),
        ("0.333333", "0.333333333333", None, True),
        ("0.33333", "0.333333333333", None, False),
        ("1.0000001", "1.0", None, True),
        ("Case #1: 0.5000001", "Case #1: 0.5", None, True),
        ("Case #2: 0.5", "Case #1: 0.5", None, False),
        ("0.0000001", "0.0", None, False),
        ("1e400", "2e400", None, False),
        ("9" * 5001, "9" * 5001, None, True),
        ("9" * 5000 + "8", "9" * 5001, None, False),
        ("1_0", "10", None, False),
        ("nan", "nan", None, True),
        ("1.0000001", "1.0", 1e-6, True),
        ("1.01", "1.0", 1e-6, False),
        ("1e9", "1000000001", 1e-6, True),
        ("a 1.0", "a  1", 1e-6, True),
        ("b 1.0", "a 1", 1e-6, False),
        ("1 2", "1", 1e-6, False),
        ("nan", "1", 1e-6, False),
        ("1.0000001", "1.0", 0, False),
    ],
)
def test_same_output_forgives_what_judges_forgive(got, expected, tolerance, same):
    assert same_output(got, expected, tolerance) is same


@pytest.mark.parametrize(
    ("comparison", "got", "expected", "same"),
    [
        ("tokens", " a\n\n b  1.0000000001\n", "a b 1.0", True),
        ("tokens", "a", "A", False),
        ("tokens_any_case", "YES\nno", "Yes No", True),
        ("tokens_any_case", "YES", "No", False),
        ("livecodebench", "2.50", "2.5", True),
        ("livecodebench", "2.0", "2", True),
        ("livecodebench", "  1  2 \n\n", "1 2", True),
        ("livecodebench", "a  b", "a b", False),
        ("livecodebench", "1\n\n2", "1\n2", False),
        ("livecodebench", "0.333333", "0.3333333", False),
        ("livecodebench", "1e-1", "0.1", True),
        ("livecodebench", "yes", "Yes", False),
    ],
)
def test_same_output_compares_by_the_rule_that_the_tests_name(comparison, got, expected, same):
    assert same_output(got, expected, None, comparison) is same


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "same"),
    [
        ([1, [2]], [1, [2]], None, True),
        ([1, [2]], [1, [3]], None, False),
        ([1], [1, 2], 1e-6, False),
        ({"a": 0.1}, {"a": 0.1000000001}, 1e-6, True),
        ({"a": 0.1}, {"b": 0.1}, 1e-6, False),
        (0.1, 0.1000000001, None, True),
        (0.1, 0.1001, None, False),
        (2.0, 2, None, True),
        (True, 1.0, None, True),
        (10**400, 1.5, None, False),
        ("1", 1, None, False),
        (None, None, None, True),
    ],
)
def test_same_value_compares_json(got, expected, tolerance, same):
    assert same_value(got, expected, tolerance) is same


def test_same_value_of_livecodebench_is_exact():
    assert not same_value([0.1], [0.1000000001], None, "livecodebench")
