"""What stands in for the models of a rehearsal answers what the stages ask today, in the form that they read."""

import pytest

from laptop import stand_in_models
from stillhouse.verification import judging
from stillhouse.verification.judging import EQUIVALENCE, QUALITY, SIMILARITY

BOXED = "\\boxed{23}"


def judged(task, **values):
    """The score that the stage reads in the stand-in's reply."""
    prompt = task.prompt.format(**{"prompt": "What is 11 + 12?", "reference": "23", "answer": ""} | values)
    return task.read(stand_in_models.reply("Qwen2.5-7B-Instruct", [{"role": "user", "content": prompt}], 1))


@pytest.mark.parametrize("task", [SIMILARITY, EQUIVALENCE])
@pytest.mark.parametrize(("answer", "share"), [(BOXED, 1), ("\\boxed{24}", 0), ("", 0)])
def test_stand_in_judge_compares_the_answer_with_the_reference(task, answer, share):
    assert judged(task, answer=judging.quoted(answer)) == share * task.top


def test_stand_in_judge_rates_quality_on_the_scale_that_is_read():
    scores = [judged(QUALITY, answer=judging.quoted(f"It is {number}.")) for number in range(20)]
    assert all(0.5 <= score <= QUALITY.top for score in scores)
    assert len(set(scores)) > 1


@pytest.mark.parametrize(("model", "least", "most"), [("DeepSeek-R1-Distill-Qwen-1.5B", 0.35, 0.55), ("DeepSeek-R1", 0.7, 0.9)])
def test_stand_in_teacher_is_right_as_often_as_its_size_says(model, least, most):
    replies = [stand_in_models.reply(model, [{"role": "user", "content": "What is 11 + 12?"}], seed) for seed in range(300)]
    assert least < sum(BOXED in text for text in replies) / 300 < most


def test_stand_in_summariser_shortens():
    prompt = "Shorten.\n\nReasoning:\n1 and 2"
    assert stand_in_models.reply("summariser", [{"role": "user", "content": prompt}], 0) == "The two numbers are added."
