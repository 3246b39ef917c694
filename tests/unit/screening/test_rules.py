from types import SimpleNamespace

import pytest

from stillhouse import testing
from stillhouse.screening.config import ScreenedConfig
from stillhouse.screening.ngrams import Ngrams, counted
from stillhouse.screening.rules import QuestionForm, screen

GOOD = testing.response(testing.question())
STUCK = testing.response(testing.question(), text="wait " * 9)
ODD = testing.response(testing.question(), "", think=None)


def screened(rules, response=GOOD, turns=1, ngrams=None, scorer=None):
    (made,) = screen(rules, [QuestionForm(turns, "question")], [response], ngrams, scorer)
    return made.row.reason, made.detail


@pytest.mark.parametrize(
    ("response", "turns", "explained", "off"),
    [
        (GOOD, 2, ("odd_turns", "odd_turns"), {"require_even_turns": False}),
        (ODD, 1, ("no_think", "no_think, no_answer"), {"require_think": False, "require_answer": False}),
        (STUCK, 1, ("repetition", "9 times: wait"), {"max_repeat": None}),
    ],
)
def test_screen_every_rule_explains_its_drop_and_can_be_switched_off(response, turns, explained, off):
    assert screened(ScreenedConfig(), response, turns) == explained
    assert screened(ScreenedConfig(**off), response, turns) == (None, "")


def test_screen_frequent_string_is_named(tmp_path):
    ngrams = counted([GOOD.text] * 3, Ngrams(2, 2, str.split, tmp_path))
    assert screened(ScreenedConfig(), ngrams=ngrams) == ("frequent_ngrams", "<think>It must")


@pytest.mark.parametrize(("value", "explained"), [(20.0, (None, "")), (20.1, ("perplexity", "20.1")), (None, (None, ""))])
def test_screen_perplexity_is_asked_of_what_is_else_kept_and_compared_strictly(value, explained):
    asked = []
    scorer = SimpleNamespace(perplexities=lambda texts: [value] * len(asked.extend(texts) or texts))
    rules = ScreenedConfig(max_perplexity=20)
    assert screened(rules, scorer=scorer) == explained
    assert screened(rules, STUCK, scorer=scorer)[0] == "repetition"
    assert asked == [f"question\n{GOOD.text}"]


@pytest.mark.parametrize(
    ("rules", "explained"),
    [
        ({"min_characters": 500}, ("length", f"{len(GOOD.text)} characters")),
        ({"max_characters": 5}, ("length", f"{len(GOOD.text)} characters")),
        ({"personal_data": ("email",)}, (None, "")),
        ({"languages": ("de",)}, (None, "")),
    ],
)
def test_screen_optional_rules_drop_only_what_breaks_them(rules, explained):
    assert screened(ScreenedConfig(**rules)) == explained


def test_screen_language_and_personal_data_of_an_answer():
    answer = "You can find that in the book which they have, and it is on the table."
    spoken = testing.response(testing.question(), answer)
    assert screened(ScreenedConfig(languages=("de", "fr")), spoken) == ("language", "en, kept: de, fr")
    assert screened(ScreenedConfig(languages=("en",)), spoken) == (None, "")
    mail = testing.response(testing.question(), "Ask ada@lovelace.org")
    assert screened(ScreenedConfig(personal_data=("email",)), mail) == ("personal_data", "has email")
