import pytest

from stillhouse.verification.exact.extraction import candidates, closing_brace


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("So \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("$x=1$ and the final answer is: $\\boxed{ 7 }$", "7"),
        ("\\boxed {7}", "7"),
        ("\\fbox{7}", "7"),
        ("\\boxed{1} and \\boxed{2}", "1 , 2"),
        ("\\boxed{5} was my first try, but \\boxed{7} is right.", "7"),
        ("\\boxed{10}\\%", "10 \\%"),
        ("\\boxed{5} million", "5 million"),
        ("\\boxed{1. The final answer is 2.", "{1. The final answer is 2."),
    ],
)
def test_candidates_box_is_the_only_candidate_whatever_stands_around_it(text, content):
    (candidate,) = candidates(text)
    assert candidate.boxed
    assert candidate.text == content


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("The answer is $\\frac12$, since $x>0$.", "\\frac12"),
        ("Answer: 12", "12"),
        ("答案：5。", "5"),
        ("42", "42"),
        ("The answers are $2$ and $5$.", "2 , 5"),
    ],
)
def test_candidates_without_a_box_begin_with_what_an_answer_phrase_says(text, first):
    assert candidates(text)[0].text == first


def test_candidates_of_a_sentence_are_its_last_number_and_all_of_them_as_a_list():
    texts = [candidate.text for candidate in candidates("There are 9 hens and 10 rabbits") if candidate.prose]
    assert texts == ["9 , 10", "10"]


def test_candidates_of_words_without_numbers_hold_no_prose_numbers():
    assert not any(candidate.prose for candidate in candidates("I do not know."))


def test_closing_brace_is_the_matching_one():
    assert closing_brace("{a{b}c}d}", 0) == 6
    assert closing_brace("{a{b}", 0) is None
    assert closing_brace("{\\{1\\}}", 0) == 6
