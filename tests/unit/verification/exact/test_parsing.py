import pytest

from stillhouse.verification.exact.parsing import read, read_bare


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,234", "1234"),
        ("\\frac12", "\\dfrac{1}{2}"),
        ("-3\\frac{1}{2}", "-\\frac{7}{2}"),
        ("\\$5", "5"),
        ("5\\text{ cm}^2", "5"),
        ("30^{\\circ}", "30"),
        ("\\left(1, 2\\right]", "(1,2]"),
        ("1{,}234", "1234"),
    ],
)
def test_read_spellings_of_one_value_are_one_value(one, other):
    first, second = read(one), read(other)
    assert getattr(first, "terms", first) == getattr(second, "terms", second)
    assert first is not None


def test_read_comma_in_brackets_is_no_thousands_separator():
    assert len(read("(1,234,567)").items) == 3
    assert len(read("12, 345").items) == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "3m", "1 234", "5.", "-10\\%", "1,000\\%", "2 3", "x10", "f(x)", "x(2)", "\\frac{1}{0}", "2^{99}", "(1,2,3]"),
        *("[2,1)", "0,5", "5\\text{ percent}", "1,234\\,", "+1,234", "\\frac{1}{2}3", "1/2/3", "\\{\\}", "9" * 400),
    ],
)
def test_read_leaves_alone_what_math_verify_reads_in_its_own_way(text):
    assert read(text) is None


@pytest.mark.parametrize("text", ["+7", "-007", "4/2", "1/0", ".", "1,23", "12 345", "10%", "-.5", "x"])
def test_read_bare_leaves_alone_what_plain_text_means_by_other_rules(text):
    assert read_bare(text) is None
