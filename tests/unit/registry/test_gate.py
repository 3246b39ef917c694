import pytest

from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.registry.gate import decide
from tests.unit.benchmarks.outcome_records import benchmark_outcome, outcomes, round_outcome, together


def judged(candidate, champion, margins=None, margin=0.025):
    return decide(candidate, champion, None if champion is None else "3", margins or {}, margin)


def evidence(decision):
    return {item.name: item for item in decision.evidence}


def test_decide_without_champion_makes_one():
    made = judged(outcomes(0), None)
    assert (made.rank, made.why, made.against, made.evidence) == ("champion", "there was no champion", None, ())


def test_decide_worse_on_one_benchmark_stays_a_candidate_and_names_it():
    made = judged(together(outcomes(180), outcomes(60, "word-problems")), together(outcomes(100), outcomes(120, "word-problems")))
    assert (made.rank, made.why) == ("candidate", "worse than champion version 3 on word-problems/round_1")
    assert evidence(made)["word-problems/round_1"].difference.mean == pytest.approx(-0.3)
    assert evidence(made)["arithmetic/round_1"].finding == "no worse"


def test_decide_equal_becomes_champion():
    made = judged(outcomes(100), outcomes(100))
    assert (made.rank, made.against) == ("champion", "3")
    difference = evidence(made)["arithmetic/round_1"].difference
    assert -0.025 < difference.low < difference.mean == 0 < difference.high


def test_decide_loss_that_the_interval_cannot_rule_out_is_a_challenger():
    """Annealing's 2.5 points on LiveCodeBench: 5 of 200 questions, within the interval and yet not to go unseen."""
    made = judged(outcomes(95), outcomes(100))
    assert evidence(made)["arithmetic/round_1"].finding == "cannot tell"
    assert made.rank == "challenger"
    assert made.why == "a loss beyond the margin to champion version 3 cannot be ruled out on arithmetic/round_1"


def test_decide_small_losses_within_the_margin_do_not_add_up_unseen():
    made = judged(outcomes(99), outcomes(100), margin=0.1)
    assert evidence(made)["arithmetic/round_1"].finding == "no worse"
    assert (made.rank, made.why) == ("challenger", "within the margins of champion version 3, but -0.005 on the mean over all")


def test_decide_margin_is_that_of_the_benchmark():
    candidate, champion = (
        together(outcomes(80), outcomes(150, "word-problems")),
        together(outcomes(100), outcomes(100, "word-problems")),
    )
    assert judged(candidate, champion).rank == "candidate"
    assert judged(candidate, champion, {"arithmetic": 0.2}).rank == "champion"
    assert judged(candidate, champion, {"word-problems": 0.2}).rank == "candidate"


def test_decide_other_protocol_is_not_compared_and_not_promoted():
    made = judged(outcomes(200), outcomes(100, protocol="p2"))
    assert (made.rank, made.evidence) == ("candidate", ())
    assert "not measured under the protocol of champion version 3 on arithmetic/round_1" in made.why


def test_decide_compares_shared_benchmarks_rounds_and_questions_alone():
    candidate = together(outcomes(100), outcomes(0, "new"), outcomes(10, "twice", number=1))
    champion = together(outcomes(50, n=100), outcomes(200, "old"), outcomes(100, "twice", number=2))
    made = judged(candidate, champion)
    assert list(evidence(made)) == ["arithmetic/round_1"]
    assert evidence(made)["arithmetic/round_1"].difference.mean == 0.5
    assert made.rank == "candidate", "a benchmark that is left out would be a way around a loss on it"
    assert "on old/round_1, twice/round_2: measure the champion as the candidate was" in made.why


def test_decide_without_a_shared_question_compares_nothing():
    other = Outcomes(benchmarks={"arithmetic": benchmark_outcome({1: round_outcome({"another": [True]})})})
    assert judged(outcomes(10), other).evidence == ()


def test_decision_description_has_a_line_for_every_benchmark():
    made = judged(together(outcomes(180), outcomes(60, "word-problems")), together(outcomes(100), outcomes(120, "word-problems")))
    first, *lines = made.description.splitlines()
    assert first == "candidate: worse than champion version 3 on word-problems/round_1"
    assert [line.partition(":")[0] for line in lines] == ["arithmetic/round_1", "word-problems/round_1"]
    assert lines[1].startswith("word-problems/round_1: -0.300 [-0.3")
    assert lines[1].endswith("margin 0.025: worse")
