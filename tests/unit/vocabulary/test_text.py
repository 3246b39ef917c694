import pytest

from stillhouse.vocabulary.text import ending, excerpt, shortened


@pytest.mark.parametrize(
    ("function", "expected"), [(shortened, "abcd…"), (ending, "…fghi"), (excerpt, "ab\n[… 5 characters left out …]\nhi")]
)
def test_long_text_is_cut_where_the_function_says(function, expected):
    assert function("abcdefghi", 5) == expected


@pytest.mark.parametrize("function", [shortened, ending, excerpt])
def test_text_that_fits_stays_as_it_is(function):
    assert function("abcde", 5) == "abcde"


@pytest.mark.parametrize("function", [shortened, ending])
def test_cut_text_is_cut_no_further(function):
    assert function(function("a" * 20, 8), 8) == function("a" * 20, 8)
