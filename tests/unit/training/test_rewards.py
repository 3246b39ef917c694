from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.training.rewards import Rewards, filled
from stillhouse.verification.verdict import Verdict

ASKED = testing.question("What is 1 + 1?", "2")


def score(rewards, texts):
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    return rewards(completions=completions, question_id=[ASKED.question_id] * len(texts), prompts=["ignored"] * len(texts))


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("<think>1+1</think><answer>2</answer>", 1),
        ("<think>1+1</think><answer>\\boxed{2}</answer>", 1),
        ("1+1</think><answer>2</answer>", 1),  # the chat template may have opened the thinking
        ("<think>1+1</think><answer>3</answer>", 0),
        ("<think>1+1</think> 2", 0),  # an answer without its tags
        ("<answer>2</answer>", 0),
        ("2", 0),
        ("<think>1+1 is 2", 0),
        ("<think>1+1</think><answer>2", 0),
        ("", 0),
    ],
)
def test_rewards_are_1_for_a_correct_answer_in_the_format_and_else_0(text, reward):
    with Rewards({ASKED.question_id: ASKED}, 1, 5) as rewards:
        assert score(rewards, [text]) == [reward]


def test_rewards_of_what_the_verifier_failed_on_are_the_mean_of_the_group():
    rewards = Rewards({ASKED.question_id: ASKED}, 3, 5)
    kinds = iter(["correct", "wrong", "timeout", "timeout", "error", "correct"])
    scores = {"correct": 1.0, "wrong": 0.0, "timeout": None, "error": None}
    verdict = lambda kind: Verdict(kind, scores[kind], "toy")  # noqa: E731
    rewards._pool = SimpleNamespace(verify=lambda requests: [verdict(next(kinds)) for _ in requests])
    assert score(rewards, ["<think>a</think><answer>2</answer>"] * 6) == [1, 0, 0.5, 1, 1, 1]
    assert rewards.kinds == {"correct": 2, "wrong": 1, "timeout": 2, "error": 1}


@given(st.lists(st.one_of(st.none(), st.sampled_from([0.0, 1.0])), min_size=1, max_size=16))
def test_filled_keeps_the_known_and_the_mean(scores):
    known = [each for each in scores if each is not None]
    made = filled(scores)
    assert [new for new, old in zip(made, scores, strict=True) if old is not None] == known
    assert sum(made) / len(made) == pytest.approx(sum(known) / len(known) if known else 0)
