import pytest

from stillhouse import testing
from stillhouse.execution import processes
from stillhouse.stages import rl
from stillhouse.training.rl.reward_terms.rollout import TermReward
from stillhouse.training.rl.reward_terms.weighted_sum import ScoredRollout, VerifierReward, WeightedTerms
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


def rewards_of(questions, scorer, levels=None, more=()):
    """By the verifier, and by more terms: their configs and answers."""
    terms = WeightedTerms(
        rl.Config(rewards=[{"kind": "verifier"}, *(config for config, _ in more)]).rewards,
        [VerifierReward(), *(term for _, term in more)], scorer,
    )  # fmt: skip
    return Rewards({each.question_id: each for each in questions}, terms, read, levels)


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
    assert logged == {
        "reward/math": pytest.approx(2 / 3), "without_reward": 0.5, "rewards/verifier/failures": 0.5,
        "rewards/verifier/mean": pytest.approx(2 / 3),
    }  # fmt: skip
    assert rewards.failed == {"verifier": 3}


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
        "without_reward": 0.2, "rewards/verifier/failures": 0.2, "rewards/verifier/mean": 0.5,
    }  # fmt: skip


def test_rewards_are_counted_and_averaged_over_all_ranks_whatever_each_has(monkeypatch):
    """This rank has three of four math rewards: a mean of the ranks' means would be 2/3."""
    easy, code = testing.question("1 + 1?", "2"), testing.question("write f", None, category="code")
    rewards = rewards_of([easy, code], Scripted(["correct", "wrong", "wrong"]))
    logged = {}
    scored = ScoredRollout(1.0, {"verifier": TermReward(1.0)}, Verdict("correct", 1.0, "toy"))
    first = ([easy.question_id, code.question_id, code.question_id], [scored] * 3, "the first rank's")
    monkeypatch.setattr(processes, "gathered", lambda own: [first, own])
    tokens = written("this rank's") * 3
    assert rewards(completion_ids=tokens, question_id=[easy.question_id] * 3, log_metric=logged.__setitem__) == [1, 0, 0]
    assert logged == {
        "reward/math": 0.5, "reward/code": 1, "without_reward": 0, "rewards/verifier/failures": 0,
        "rewards/verifier/mean": pytest.approx(2 / 3),
    }  # fmt: skip
    assert rewards.outcomes == {easy.question_id: [4, 2], code.question_id: [2, 2]}
    assert [each["text"] for each in rewards.rollouts] == ["the first rank's"]


class Styled:
    """A term with these answers, in order."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def score(self, rollouts):
        return [self.answers.pop(0) for _ in rollouts]


def test_rewards_each_term_is_shown_apart_in_metrics_and_in_the_table():
    style = Styled(TermReward(0.5), TermReward.failed("timeout", "no reply"), TermReward(None), TermReward(1.5))
    more = [({"kind": "endpoint", "name": "style", "weight": 2}, style)]
    rewards, logged = rewards_of([ASKED], Scripted(["correct", "wrong", "correct", "wrong"]), more=more), {}
    ids = [ASKED.question_id] * 4
    assert rewards(completion_ids=written("text") * 4, question_id=ids, log_metric=logged.__setitem__) == [2, None, None, 3]
    assert logged == {
        "reward/math": 2.5, "without_reward": 0.5, "rewards/verifier/mean": 0.5, "rewards/verifier/failures": 0,
        "rewards/style/mean": 1.0, "rewards/style/failures": 0.25,
    }  # fmt: skip
    (row,) = rewards.rollouts
    assert (row["reward"], row["rewards/verifier"], row["rewards/style"], row["failures"]) == (2, 1, 0.5, "")


def test_rewards_a_term_s_failure_is_in_the_table_with_its_reason():
    more = [({"kind": "endpoint", "name": "style"}, Styled(TermReward.failed("timeout", "no reply")))]
    rewards = rewards_of([ASKED], Scripted(["correct"]), more=more)
    score(rewards, ["text"])
    (row,) = rewards.rollouts
    assert (row["reward"], row["rewards/style"], row["failures"]) == (None, None, "style: timeout: no reply")


def test_rewards_remember_failures_over_a_resume():
    rewards = rewards_of([ASKED], Scripted(["timeout", "correct"]))
    score(rewards, ["a", "b"])
    resumed = rewards_of([ASKED], Scripted([]))
    resumed.recall(rewards.remember())
    assert (resumed.failed, resumed.kinds) == ({"verifier": 1}, {"timeout": 1, "correct": 1})


def test_rewards_the_last_step_s_samples_are_the_best_and_the_worst_rollout_of_each_of_its_first_questions():
    asked = [testing.question(f"{number} + 1?", str(number + 1)) for number in range(6)]
    kinds = ["wrong", "correct", "timeout"]
    rewards = rewards_of(asked, Scripted(kinds * 7))
    rewards(completion_ids=written("earlier") * 3, question_id=[asked[5].question_id] * 3)
    texts = [f"{number}: {kind}" for number in range(6) for kind in kinds]
    rewards(completion_ids=written(*texts), question_id=[question.question_id for question in asked for _ in kinds])
    expected = [(f"{number}: {kind}", reward) for number in range(4) for kind, reward in (("correct", 1), ("timeout", None))]
    assert [(row["text"], row["reward"]) for row in rewards.last_step] == expected
    assert {row["call"] for row in rewards.last_step} == {2}
    resumed = rewards_of(asked, Scripted([]))
    resumed.recall(rewards.remember())
    assert resumed.last_step == rewards.last_step


def test_rewards_equal_rollouts_of_a_question_are_one_sample_of_the_last_step():
    rewards = rewards_of([ASKED], Scripted(["wrong", "wrong"]))
    score(rewards, ["first", "second"])
    assert [row["text"] for row in rewards.last_step] == ["first"]
