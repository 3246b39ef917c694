from collections import Counter

import pytest

from stillhouse.curation.stated_numbers import QuantityTable, agreement, contradict, quantities, signature
from stillhouse.curation.words import words
from stillhouse.vocabulary.ids import normalise


def found(text):
    return quantities(words(normalise(text)))


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("Add 3.50 apples to 12", ["3.5", "12"]),
        ("twenty-five of two hundred and five", ["25", "205"]),
        ("a hundred men, three thousand, 2.5 million, four decades", ["100", "3000", "2500000", "40"]),
        ("half a dozen eggs, two dozen more", ["6", "24"]),
        ("three and a half hours", ["3.5"]),
        ("3/4 of them, ¾ of those, 1 1/2 cups", ["0.75", "0.75", "1.5"]),
        ("50% and 50 percent", ["0.5", "0.5"]),
        ("a 15-story house in covid-19 times", ["15", "19"]),
        ("at 8:00 she paid $.25", ["8", "0.25"]),
        ("It cost $900. Two days later", ["900", "2"]),
        ("8 - 3", ["8", "-", "3", "8-3"]),
        ("What is 12/4?", ["12", "/", "4", "12/4"]),
        ("x^2 ≤ 7", ["^", "2", "≤", "7", "2≤7"]),
        ("1234567890123456789", ["1234567890123456789"]),
        ("version 1.2.3", ["1.2.3"]),
    ],
)
def test_quantities_states_numbers_operators_and_expressions(text, stated):
    assert found(text).stated == Counter(stated)


@pytest.mark.parametrize(
    ("text", "implied"),
    [
        ("thrice, twice, both", ["3", "2", "2"]),
        ("half of one", ["0.5", "1"]),
        ("two thirds", ["0.666667"]),
        ("third", ["0.333333"]),
    ],
)
def test_quantities_words_that_may_be_no_number_are_implied(text, implied):
    assert found(text).implied == Counter(implied)
    assert not found(text).stated


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("What is 347 + 238?", "What is 348 + 238?", True),
        ("What is 8 - 3?", "What is 8 + 3?", True),
        ("What is 8 - 3?", "What is 3 - 8?", True),
        ("Take 3 of 3 and 4", "Take 3 of 4 and 4", True),
        ("What is 8 - 3?", "Please tell me: what is 8 - 3? It is question 12.", False),
        ("Tom has 3 apples and 4 pears", "Tom has some apples and 4 pears", False),
        ("3 laps 3 times a week, 60 meters each", "3 laps thrice a week, each of 60 meters", False),
        ("It takes two thirds of 12", "It takes 2/3 of twelve", False),
        ("She eats half of 16 and has 5", "She eats 50% of sixteen and has 5", False),
        ("The second train is at 60", "The next train is at 60 after 2", False),
        ("12 apples for six friends", "12 apples for 7 friends", True),
        ("two bags of 40", "three bags of 40", True),
        ("2 cups twice a week", "3 cups twice a week", True),
        ("7 days a week", "5 days a week", True),
        ("half of 0.5 liters", "half of 0.7 liters", True),
    ],
)
def test_contradict_takes_something_that_each_lacks(text, other, expected):
    assert contradict(found(text), found(other)) is expected
    assert contradict(found(other), found(text)) is expected


def test_agreement_is_the_share_of_stated_quantities_that_both_have():
    assert agreement(found("3 and 4"), found("three of 4")) == 1
    assert agreement(found("3 and 4"), found("3 and 5")) == 0.5
    assert agreement(found("3"), found("none at all")) == 0


def test_signature_is_of_numbers_in_any_form_and_order():
    assert signature(found("12 books, 5 sold, 4 new")) == signature(found("four new, 5 sold of twelve"))
    assert signature(found("12 books")) != signature(found("13 books"))


def test_quantity_table_tells_apart_as_the_texts_do():
    texts = ["3 laps thrice", "three laps, three times", "4 laps, 3 times", "no lap"]
    table = QuantityTable()
    for text in texts:
        table.add(found(text))
    for row, text in enumerate(texts):
        for column, other in enumerate(texts):
            assert contradict(table[row], table[column]) is contradict(found(text), found(other))
            assert agreement(table[row], table[column]) == agreement(found(text), found(other))
