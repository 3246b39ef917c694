import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.selection.config import Limits, Rules, Scored, annealing, quotas, stage_1

RULES = Rules()


def scored(*scores):
    return [Scored("m", place, score) for place, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("category", "scores", "reason", "chosen"),
    [
        ("math", (1, 0, 1, 1), None, (0, 2, 3)), ("math", (0, 0, 0, 0), "below_threshold", ()), ("math", (1, 1, 1, 1), "easy", ()),
        ("math", (1,), "cv_undefined", ()), ("code", (0.99, 0.5), "below_threshold", ()), ("science", (5, 4.99, 1), None, (0,)),
        ("science", (4.99, 1), "below_threshold", ()), ("other", (0.9, 0.3, 0.71), None, (0, 2)),
    ],
)  # fmt: skip
def test_stage_1_by_category(category, scores, reason, chosen):
    choice = stage_1("q", category, scored(*scores), RULES)
    assert choice.reason == reason
    assert tuple(each.sample_index for each in choice.chosen) == chosen
    assert choice.challenging == bool(chosen)


def test_stage_1_easy_questions_without_references_stay_half_the_time():
    kept = sum(stage_1(f"q{number}", "other", scored(0.9, 0.9), RULES).reason is None for number in range(400))
    assert 150 < kept < 250
    assert all(
        stage_1(f"q{number}", "other", scored(0.9, 0.9), Rules(easy_keep_probability=0)).reason == "easy" for number in range(20)
    )


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=6), st.sampled_from(["math", "code", "other"]))
def test_stage_1_never_chooses_a_response_that_does_not_pass(scores, category):
    choice = stage_1("q", category, scored(*scores), RULES)
    assert all(each.score > 0.99 or category == "other" for each in choice.chosen)
    assert bool(choice.chosen) == (choice.reason is None)


def choices(**scores_by_question):
    return {name: stage_1(name, "math", scored(*scores), RULES) for name, scores in scores_by_question.items()}


def test_annealing_takes_the_highest_cv_first_and_one_passing_response_each():
    best = annealing(choices(hard=(1, 0, 0, 0), medium=(1, 1, 0, 0), soft=(1, 1, 1, 0), easy=(1, 1)), Rules(anneal_questions=2))
    assert list(best) == ["hard", "medium"]
    assert [each.sample_index for each in best["hard"].chosen] == [0]
    assert len(best["medium"].chosen) == 1
    assert best["medium"].chosen[0].score == 1


def test_annealing_science_threshold_is_on_the_normalised_score():
    made = {"q": stage_1("q", "science", scored(5, 0), RULES)}
    assert annealing(made, RULES)["q"].chosen == (Scored("m", 0, 5),)


def test_annealing_easy_question_that_was_kept_is_left_out():
    kept = {name: choice for name in map(str, range(20)) if (choice := stage_1(name, "other", scored(1, 1), RULES)).reason is None}
    assert kept
    assert annealing(kept, RULES) == {}


def test_annealing_ties_do_not_depend_on_the_order_of_questions():
    names = [f"q{number}" for number in range(30)]
    there = choices(**dict.fromkeys(names, (1, 0)))
    back = choices(**dict.fromkeys(reversed(names), (1, 0)))
    rules = Rules(anneal_questions=5)
    assert annealing(there, rules) == annealing(back, rules)
    assert list(annealing(there, rules)) != names[:5]
    assert list(annealing(there, Rules(anneal_questions=5, seed=1))) != list(annealing(there, rules))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {"math": 100, "code": 30, "other": 7}), ({"caps": {"math": 10, "science": 5}}, {"math": 10, "code": 30, "other": 7}),
        ({"size": 50}, {"math": 100, "code": 30, "other": 7}), ({"mix": {"math": 2.1, "code": 1}}, {"math": 63, "code": 30}),
        ({"mix": {"math": 2.1, "code": 1}, "size": 31}, {"math": 21, "code": 10}),
        ({"mix": {"math": 2.1, "code": 1}, "caps": {"math": 21}}, {"math": 21, "code": 10}),
        ({"mix": {"math": 1, "science": 1}}, {"math": 0, "science": 0}),
    ],
)  # fmt: skip
def test_quotas_of_sizes_caps_and_mixes(limits, expected):
    assert quotas({"math": 100, "code": 30, "other": 7}, Limits(**limits)) == expected


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.1, 10))
def test_quotas_of_a_mix_keep_its_ratio_and_are_as_large_as_can_be(math, code, weight):
    made = quotas({"math": math, "code": code}, Limits(mix={"math": weight, "code": 1}))
    assert made["math"] <= math
    assert made["code"] <= code
    assert abs(made["math"] - weight * made["code"]) <= max(1, weight)
    assert made["math"] == math or made["code"] == code
