import re

import pytest

from stillhouse import sources
from stillhouse.errors import BadConfig
from stillhouse.sources import worded
from stillhouse.sources.config import LARGEST_RESULT, Worded


def made(count: int = 300, **settings):
    return list(sources.read(Worded(name="worded", count=count, seed=5, **settings)))


def test_worded_every_reckoning_is_right_and_the_last_one_is_the_reference():
    for question in made():
        reckonings = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)", question.original_response)
        for first, sign, second, result in reckonings:
            assert worded.OPERATIONS[sign](int(first), int(second)) == int(result) <= LARGEST_RESULT
        assert reckonings[-1][3] == question.reference_answer
        assert question.original_response.endswith(f"</think><answer>\\boxed{{{question.reference_answer}}}</answer>")


def test_worded_numbers_of_a_trace_come_from_the_question_or_an_earlier_step():
    for question in made():
        known = set(re.findall(r"\d+", question.messages[0]["content"]))
        for first, second, result in re.findall(r"(\d+) [-+*] (\d+) = (\d+)", question.original_response):
            assert {first, second} <= known
            known.add(result)


@pytest.mark.parametrize("largest", [10, 60])
def test_worded_largest_bounds_the_given_numbers(largest):
    given = {int(number) for question in made(largest=largest) for number in re.findall(r"\d+", question.messages[0]["content"])}
    assert 0.8 * largest <= max(given) <= largest
    assert min(given) == 2


@pytest.mark.parametrize(("share", "labels"), [(0, {"1-step"}), (1, {"2-step"}), (0.5, {"1-step", "2-step"})])
def test_worded_two_step_share_decides_the_number_of_reckonings(share, labels):
    questions = made(two_step_share=share)
    assert {question.difficulty_label for question in questions} == labels
    assert all(f"{question.original_response.count(' = ')}-step" == question.difficulty_label for question in questions)


def test_worded_every_template_is_used_and_fills_in_without_a_gap():
    texts = [question.messages[0]["content"] for question in made()]
    shapes = {re.sub(r"[A-Z][a-z]+|\d+", "_", text) for text in texts}
    assert len(shapes) > 12
    assert not any("{" in text for text in texts)


def test_worded_same_seed_same_questions_other_seed_others():
    ids = [question.question_id for question in made(50)]
    assert ids == [question.question_id for question in made(50)]
    others = {question.question_id for question in sources.read(Worded(name="worded", count=50, seed=6))}
    assert len(others & set(ids)) < 10


def test_worded_distinct_asks_nothing_twice_and_says_when_it_runs_out(monkeypatch):
    assert len({question.question_id for question in made(500, distinct=True)}) == 500
    only = worded.Template("{name} has {a} coins.", (("+", "a", "a"),), "a")
    monkeypatch.setattr(worded, "TEMPLATES", {1: (only,)})
    with pytest.raises(BadConfig, match=r"only 1\d\d distinct questions, count is 200; lower count"):
        made(200, distinct=True, two_step_share=0)
