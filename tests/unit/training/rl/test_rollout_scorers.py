from dataclasses import replace

from stillhouse import testing
from stillhouse.training.rl.rollout_scorers import VerifierScorer, has_rule
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Verdict

MATH = testing.question("What is 1 + 1?", "2")
SCIENCE = testing.question("Why is the sky blue?", "scattering", category="science")


def test_verifier_scorer_tries_a_timeout_once_more(monkeypatch):
    kinds = iter(["timeout", "correct", "correct"])
    monkeypatch.setattr(VerifierPool, "verify", lambda self, asked: [Verdict(next(kinds), None, "fake") for _ in list(asked)])
    with VerifierScorer(5) as scorer:
        verdicts = scorer.score([MATH] * 2, ["<think>a</think><answer>2</answer>"] * 2)
    assert [verdict.kind for verdict in verdicts] == ["correct", "correct"]


def test_verifier_scorer_gives_no_verdict_where_no_rule_scores():
    with VerifierScorer(5) as scorer:
        science, math = scorer.score([SCIENCE, MATH], ["<think>a</think><answer>2</answer>"] * 2)
    assert (science, math.kind) == (None, "correct")


def test_has_rule_needs_a_rule_and_what_it_compares_with():
    assert has_rule(MATH)
    assert not has_rule(SCIENCE)
    assert not has_rule(replace(MATH, reference_answer=None))
