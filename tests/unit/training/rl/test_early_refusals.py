import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig
from stillhouse.stages import rl
from stillhouse.training.rl.early_refusals import require_rewards, require_sizes

MATH = testing.question()
SCIENCE = testing.question("Why is the sky blue?", "scattering", category="science")


def by_id(*asked):
    return {each.question_id: each for each in asked}


def test_require_rewards_category_without_a_reward_is_refused_with_its_count():
    more = testing.question("Why?", "so", category="science"), testing.question("Hi", category="other")
    with pytest.raises(BadConfig, match="nothing rewards the answers to 1 of other, 2 of science in split 'rl_1', got"):
        require_rewards(rl.Config(), by_id(MATH, SCIENCE, *more))


def test_require_rewards_question_without_what_its_verifier_needs_is_refused_by_name():
    bare = testing.question("What is 1 + 2?", None)
    with pytest.raises(BadConfig, match=f"1 questions of category math have no reference_answer, the first is {bare.question_id}"):
        require_rewards(rl.Config(), by_id(MATH, bare))


def test_require_rewards_category_that_the_mix_leaves_out_is_not_asked_for():
    require_rewards(rl.Config(mix={"math": 1}), by_id(MATH, SCIENCE))
    require_rewards(rl.Config(), by_id(MATH))


def test_require_rewards_a_term_of_ones_own_may_reward_anything():
    bare = testing.question("What is 1 + 2?", None)
    require_rewards(rl.Config(rewards=[{"kind": "endpoint", "name": "any"}]), by_id(SCIENCE, bare))


def test_require_rewards_a_judge_rewards_science_if_it_has_a_reference():
    config = rl.Config(rewards=[{"kind": "verifier"}, {"kind": "judge", "judge": {"model": "toy", "engine": "openai"}}])
    require_rewards(config, by_id(MATH, SCIENCE))
    bare = testing.question("Why?", None, category="science")
    with pytest.raises(BadConfig, match="1 questions of category science have no reference_answer"):
        require_rewards(config, by_id(MATH, bare))


def test_require_sizes_step_that_the_processes_cannot_share_is_refused(monkeypatch):
    require_sizes(rl.Config(prompts_per_step=4))
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(BadConfig, match="prompts_per_step 4 cannot be shared evenly by 3 processes"):
        require_sizes(rl.Config(prompts_per_step=4))
