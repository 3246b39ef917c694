from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.benchmarks.config import ReportConfig
from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.benchmarks.protocol import protocol
from stillhouse.benchmarks.scores import measure
from stillhouse.errors import NothingToDo

CONFIG = ReportConfig(benchmarks=("arithmetic-toy",), rounds=2, samples=5, engine="transformers")


def evaluation(passed, samples=5, rounds=2):
    """Questions whose sample k passes in round n if ``passed(k, n)``."""
    asked = testing.questions(3)
    made = [
        replace(testing.response(each), sample_index=index, round=number)
        for number in range(1, rounds + 1)
        for each in asked
        for index in range(samples)
    ]
    verdicts = [replace(testing.verified(row), passed=passed(row.sample_index, row.round)) for row in made]
    return Evaluation(asked, made, verdicts)


def measured(made):
    return measure("arithmetic-toy", protocol(CONFIG, "arithmetic-toy@1", made.questions), made)


def test_measure_has_pass_at_k_for_powers_of_two_that_every_question_has_samples_for():
    made = measured(evaluation(lambda index, number: index == 0))
    assert {k: each.mean for k, each in made.outcome.rounds[1].pass_at_k.items()} == pytest.approx({2: 0.4, 4: 0.8})
    fewer = measured(evaluation(lambda index, number: None if index > 2 else index == 0))
    assert list(fewer.outcome.rounds[1].pass_at_k) == [2]
    assert measured(evaluation(lambda index, number: True, samples=1)).outcome.rounds[1].pass_at_k == {}


def test_metrics_carry_the_protocol_in_their_names_and_stop_ratio_and_length_with_every_score():
    made = measured(evaluation(lambda index, number: index < 2 * number))
    prefix = f"arithmetic-toy/{made.outcome.protocol[:8]}"
    metrics = made.metrics()
    for number, rate in ((1, 0.4), (2, 0.8)):
        assert metrics[f"{prefix}/round_{number}/pass_at_1"] == pytest.approx(rate)
        assert metrics[f"{prefix}/round_{number}/stop_ratio"] == 1
        assert metrics[f"{prefix}/round_{number}/tokens"] == 12
    assert metrics[f"{prefix}/round_2/wrong_to_correct"] == 6
    assert metrics[f"{prefix}/round_2/tokens_per_point"] == pytest.approx(12 / 40)
    assert metrics[f"{prefix}/n_unverified"] == 0


def test_outcome_holds_protocol_samples_and_steps_and_survives_json():
    outcome = measured(evaluation(lambda index, number: number == 2)).outcome
    record = Outcomes(benchmarks={"arithmetic-toy": outcome})
    parsed = Outcomes.parse(record.model_dump_json().encode(), "outcomes.json").benchmarks["arithmetic-toy"]
    assert parsed == outcome
    assert parsed.settings.samples == 5
    assert list(parsed.rounds[2].passed.values()) == [[True] * 5] * 3
    assert parsed.rounds[2].pass_at_1.mean == 1
    assert [(step.number, step.wrong_to_correct) for step in parsed.steps] == [(2, 15)]


def test_measure_round_that_the_verifier_failed_on_has_no_score():
    with pytest.raises(NothingToDo):
        measured(evaluation(lambda index, number: None))
