from collections import Counter

import pytest

from stillhouse import testing
from stillhouse.curation.config import SecondOpinion
from stillhouse.curation.second_opinion import parse, refuse_undecided, same_tasks
from stillhouse.errors import TooManyErrors

CONFIG = SecondOpinion(model="judge", max_undecided=0.4)
PAIRS = {
    (0, 5): ("Wie viele Äpfel?", "How many apples?"),
    (0, 7): ("Wie viele?", "Why {not}?"),
    (3, 5): ("odd", "How many apples?"),
}


def opinion(request):
    content = request.messages[0]["content"]
    if "<first>\nodd" in content:
        return "I cannot say."
    return "<think>different?</think> Same." if "<second>\nHow many apples?" in content else "different"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("same", True),
        ("Different.", False),
        ("<think>same</think>different", False),
        ("same or different", None),
        ("sameness", None),
    ],
)
def test_parse_takes_one_word_after_the_thinking(text, expected):
    assert parse(text) is expected


def test_same_tasks_are_those_that_the_model_calls_the_same():
    counts = Counter()
    assert same_tasks(CONFIG, testing.ScriptedEngine(opinion), PAIRS, counts) == [(0, 5)]
    assert counts == {"n_second_opinion/asked": 3, "n_second_opinion/same": 1, "n_second_opinion/undecided": 1}
    refuse_undecided(CONFIG, counts)


def test_refuse_undecided_names_model_count_and_remedy():
    counts = {"n_second_opinion/asked": 4, "n_second_opinion/undecided": 2}
    with pytest.raises(TooManyErrors, match=r"judge said neither same nor different of 2 of 4 pairs.*raise max_undecided"):
        refuse_undecided(CONFIG, counts)
    refuse_undecided(CONFIG, {})
