import pytest

from stillhouse import testing
from stillhouse.execution import processes
from stillhouse.training.rl.rewards import Rewards
from stillhouse.training.rl.rollout_scorers import VerifierScorer
from stillhouse.verification.verdict import Verdict

ASKED = testing.question("What is 1 + 1?", "2")


def written(*texts):
    """Tokens of rollouts: one for each character."""
    return [[ord(character) for character in text] for text in texts]


def read(tokens):
    """The text of such tokens."""
    return "".join(map(chr, tokens))


def rewards_of(questions, scorer, levels=None):
    return Rewards({each.question_id: each for each in questions}, scorer, read, levels)


def score(rewards, texts):
    parsed = [[{"role": "assistant", "content": "parsed by TRL"}]] * len(texts)
    return rewards(
        completions=parsed,
        completion_ids=written(*texts),
        question_id=[ASKED.question_id] * len(texts),
        prompts=["ignored"] * len(texts),
    )


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
    with VerifierScorer(5, response_format="think_answer") as scorer:
        assert score(rewards_of([ASKED], scorer), [text]) == [reward]


@pytest.mark.parametrize(
    ("text", "reward"),
    [("<think>1+1</think>\n\nIt is \\boxed{2}.", 1), ("<think>1+1</think>\n\n3", 0), ("It is 2", 0), ("<think>2", 0)],
)
def test_rewards_of_the_models_own_format_need_closed_thinking_and_no_tags(text, reward):
    with VerifierScorer(5, response_format="own") as scorer:
        assert score(rewards_of([ASKED], scorer), [text]) == [reward]


class Scripted:
    """A scorer whose verdicts are of these kinds, in order."""

    def __init__(self, kinds):
        scores = {"correct": 1.0, "wrong": 0.0, "timeout": None, "error": None}
        self._verdicts = [Verdict(kind, scores[kind], "toy") for kind in kinds]

    def score(self, questions, responses):
        return [self._verdicts.pop(0) for _ in responses]


def test_rewards_of_what_the_verifier_failed_on_are_none_and_counted():
    kinds = ["correct", "wrong", "timeout", "timeout", "error", "correct"]
    rewards, logged = rewards_of([ASKED], Scripted(kinds)), {}
    made = rewards(
        completion_ids=written("<think>a</think><answer>2</answer>") * 6,
        question_id=[ASKED.question_id] * 6,
        log_metric=logged.__setitem__,
    )
    assert made == [1, 0, None, None, None, 1]
    assert rewards.kinds == {"correct": 2, "wrong": 1, "timeout": 2, "error": 1}
    assert rewards.outcomes == {ASKED.question_id: [3, 2]}
    assert logged == {"reward/math": pytest.approx(2 / 3), "verifier_failures": 0.5}


def test_rewards_are_logged_by_category_and_by_level():
    easy, hard = testing.question("1 + 1?", "2"), testing.question("2 + 2?", "4")
    code = testing.question("write f", None, category="code")
    scorer = Scripted(["correct", "wrong", "wrong", "correct", "timeout"])
    levels = {easy.question_id: 1, hard.question_id: 3}
    rewards, logged = rewards_of([easy, hard, code], scorer, levels), {}
    asked = [easy, hard, hard, code, code]
    rewards(completion_ids=written("") * 5, question_id=[each.question_id for each in asked], log_metric=logged.__setitem__)
    assert logged == {
        "reward/math": pytest.approx(1 / 3), "reward/math/level_1": 1, "reward/math/level_3": 0, "reward/code": 1,
        "verifier_failures": 0.2,
    }  # fmt: skip


def test_rewards_are_counted_and_averaged_over_all_ranks_whatever_each_has(monkeypatch):
    """This rank has three of four math rewards: a mean of the ranks' means would be 2/3."""
    easy, code = testing.question("1 + 1?", "2"), testing.question("write f", None, category="code")
    rewards = rewards_of([easy, code], Scripted(["correct", "wrong", "wrong"]))
    logged = {}
    first = ([easy.question_id, code.question_id, code.question_id], [Verdict("correct", 1.0, "toy")] * 3, "the first rank's")
    monkeypatch.setattr(processes, "gathered", lambda own: [first, own])
    tokens = written("this rank's") * 3
    assert rewards(completion_ids=tokens, question_id=[easy.question_id] * 3, log_metric=logged.__setitem__) == [1, 0, 0]
    assert logged == {"reward/math": 0.5, "reward/code": 1, "verifier_failures": 0}
    assert rewards.outcomes == {easy.question_id: [4, 2], code.question_id: [2, 2]}
    assert [each["text"] for each in rewards.rollouts] == ["the first rank's"]
