import pytest

from stillhouse import testing
from stillhouse.stages import rl
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.training.rl.reward_terms.weighted_sum import VerifierReward, WeightedTerms
from stillhouse.verification.verdict import Verdict

MATH = testing.question("What is 1 + 1?", "2")
SCIENCE = testing.question("Why is the sky blue?", "scattering", category="science")


class Scripted:
    """A scorer or a term with these answers, in order; ``shown`` is what it was asked about."""

    def __init__(self, *answers):
        self.answers, self.shown = list(answers), []

    def score(self, rollouts, texts=()):
        self.shown.append(rollouts)
        return [self.answers.pop(0) for _ in rollouts]


def correct(score=1.0):
    return Verdict("correct", score, "math")


def scored(questions, verdicts, configs, terms):
    with_terms = WeightedTerms(rl.Config(rewards=configs).rewards, terms, Scripted(*verdicts))
    return with_terms.score([Rollout(question, "text", [1]) for question in questions])


STYLE = {"kind": "endpoint", "name": "style", "weight": -0.25}


def test_weighted_sum_adds_weight_times_value_of_every_term():
    one, other = scored(
        [MATH] * 2, [correct(), Verdict("wrong", 0.0, "math")], [{"kind": "verifier", "weight": 2}, STYLE],
        [VerifierReward(), Scripted(TermReward(1.0), TermReward(4.0))],
    )  # fmt: skip
    assert (one.reward, other.reward) == (1.75, -1.0)
    assert one.by_term == {"verifier": TermReward(1.0), "style": TermReward(1.0)}


@pytest.mark.parametrize("nothing", [TermReward(None), TermReward.failed("timeout", "late")])
def test_weighted_sum_a_rollout_that_one_term_does_not_reward_has_no_reward(nothing):
    """Without the term its sum would not compare with the rest of the group: it is neither 0 nor the rest scaled up."""
    one, other = scored(
        [MATH] * 2, [correct()] * 2, [{"kind": "verifier"}, STYLE], [VerifierReward(), Scripted(nothing, TermReward(0.0))]
    )
    assert (one.reward, other.reward) == (None, 1.0)
    assert one.by_term == {"verifier": TermReward(1.0), "style": nothing}


def test_weighted_sum_a_term_sees_the_rollouts_of_its_categories_with_their_verdicts():
    judge = Scripted(TermReward(0.5))
    math, science = scored(
        [MATH, SCIENCE], [correct(), None], [{"kind": "verifier"}, STYLE | {"categories": ["science"], "weight": 3}],
        [VerifierReward(), judge],
    )  # fmt: skip
    assert (math.reward, science.reward) == (1.0, 1.5)
    assert [rollout.question for rollout in judge.shown[0]] == [SCIENCE]
    assert (math.by_term.keys(), science.by_term.keys()) == ({"verifier"}, {"style"})


def test_weighted_sum_where_no_rule_scores_the_reward_stands_for_the_verdict_on_the_category_s_scale():
    terms = [STYLE | {"weight": 2}]
    answers = [TermReward(1.0), TermReward(0.5), TermReward(0.0), TermReward.failed("error", "no score")]
    verdicts = [rollout.verdict for rollout in scored([SCIENCE] * 4, [None] * 4, terms, [Scripted(*answers)])]
    assert [(verdict.kind, verdict.verify_score) for verdict in verdicts] == [
        ("correct", 5.0), ("partial", 2.5), ("wrong", 0.0), ("error", None),
    ]  # fmt: skip
    assert verdicts[3].detail == "style: no score"


def test_weighted_sum_the_verdict_stays_the_verifier_s_whatever_the_terms_say():
    (rollout,) = scored([MATH], [correct()], [STYLE], [Scripted(TermReward(0.0))])
    assert (rollout.reward, rollout.verdict) == (0.0, correct())


def test_weighted_sum_verification_that_failed_is_a_failure_of_the_verifier_alone():
    late = Verdict("timeout", None, "math", "no verdict after 1 s")
    (with_verifier,) = scored([MATH], [late], [{"kind": "verifier"}], [VerifierReward()])
    (without,) = scored([MATH], [late], [STYLE], [Scripted(TermReward(2.0))])
    assert with_verifier.by_term["verifier"] == TermReward.failed("timeout", "no verdict after 1 s")
    assert (with_verifier.reward, without.reward) == (None, -0.5)


def test_weighted_sum_reward_that_is_too_large_with_its_weight_fails_its_term():
    """Finite for itself: the deviation of its group would not be."""
    heavy = {"kind": "endpoint", "name": "style", "weight": 1e300}
    one, other = scored(
        [MATH] * 2, [correct()] * 2, [{"kind": "verifier"}, heavy],
        [VerifierReward(), Scripted(TermReward(1e8), TermReward(0.0))],
    )  # fmt: skip
    assert (one.reward, other.reward) == (None, 1.0)
    assert one.by_term["style"].failure == "error"
    assert one.by_term["style"].detail == "the reward with its weight of 1e+300 is beyond 1,000,000,000 either way; scale it down"
