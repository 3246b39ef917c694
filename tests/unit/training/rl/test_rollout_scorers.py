import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig
from stillhouse.stages import rl
from stillhouse.training.rl.rewards import Rewards
from stillhouse.training.rl.rollout_scorers import FunctionScorer, VerifierScorer, make_scorer

MATH = testing.question("What is 1 + 1?", "2")
SCIENCE = testing.question("Why is the sky blue?", "scattering", category="science")


def rewards_of(reward, question, responses):
    rewards = Rewards({question.question_id: question}, FunctionScorer(reward), lambda ids: responses[ids[0]])
    numbers = [[number] for number in range(len(responses))]
    return rewards(completion_ids=numbers, question_id=[question.question_id] * len(responses)), rewards


@pytest.mark.parametrize("question", [MATH, SCIENCE])
def test_reward_of_ones_own_is_given_the_question_and_the_whole_response_and_taken_as_it_is(question):
    asked = []

    def reward(*given):
        asked.append(given)
        return [1.0, 0.25, -0.5][len(asked) - 1]

    texts = ["<think>a</think><answer>2</answer>", "b", "c"]
    found, rewards = rewards_of(reward, question, texts)
    assert found == [1.0, 0.25, -0.5]
    assert asked == [(question, text) for text in texts]
    assert rewards.kinds == {"correct": 1, "partial": 1, "wrong": 1}
    assert rewards.outcomes == {question.question_id: [3, 1]}


def test_reward_of_ones_own_that_fails_gives_this_rollout_none_and_is_counted():
    def reward(question, response):
        return {"nan": float("nan"), "fine": 1.0}[response]

    found, rewards = rewards_of(reward, MATH, ["fine", "nan", "missing"])
    assert found == [1.0, None, None]
    assert rewards.kinds == {"correct": 1, "error": 2}
    assert rewards.outcomes == {MATH.question_id: [1, 1]}
    _, nan, missing = FunctionScorer(reward).score([MATH] * 3, ["fine", "nan", "missing"])
    assert (nan.detail, missing.detail) == ("the reward is nan, not a finite number", "KeyError: 'missing'")


def test_reward_of_the_config_is_the_verifiers_and_not_dumped_unless_it_is_set():
    assert isinstance(make_scorer(rl.Config().reward, 5), VerifierScorer)
    assert "reward" not in rl.Config().model_dump(mode="json")


def test_reward_of_the_config_may_be_a_function_by_its_module_and_is_pinned(monkeypatch, tmp_path):
    (tmp_path / "own_rewards.py").write_text("def length(question, response):\n    return len(response) / 10\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = rl.Config(reward="own_rewards:length")
    assert config.model_dump()["reward"] == config.reward
    assert config.reward.startswith("own_rewards:length@sha256-")
    (verdict,) = make_scorer(config.reward, 5).score([MATH], ["12345"])
    assert (verdict.kind, verdict.verify_score) == ("partial", 0.5)
    (tmp_path / "own_rewards.py").write_text("def length(question, response):\n    return 0\n")
    with pytest.raises(BadConfig, match="reward own_rewards:length is at version sha256-"):
        make_scorer(config.reward, 5)


def test_reward_that_is_unknown_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="no reward 'verifyer'; did you mean verifier"):
        rl.Config(reward="verifyer")
