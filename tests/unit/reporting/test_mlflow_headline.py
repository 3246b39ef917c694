from datetime import timedelta

import pytest

from stillhouse.reporting import mlflow_headline, run_facts
from tests.unit.reporting import nights


def record(root, version="v1", since=None, **options):
    run = nights.publish_night(root, version, **options)
    return run_facts.record(run, run_facts.read(run), since=since)


def test_metrics_scores_and_gains_by_role_with_their_intervals(tmp_path):
    metrics = mlflow_headline.metrics(record(tmp_path))
    assert (metrics["pass_at_1/arithmetic/round_1/base/mean"], metrics["pass_at_1/arithmetic/round_1/sft/mean"]) == (0.4, 0.6)
    assert metrics["pass_at_1/arithmetic/round_1/sft/low"] < 0.6 < metrics["pass_at_1/arithmetic/round_1/sft/high"]
    assert metrics["gain_over_base/arithmetic/round_1/sft/mean"] == pytest.approx(0.2)
    champion = [metrics[f"gain_over_champion/arithmetic/round_1/{end}"] for end in ("mean", "low", "high")]
    assert champion == [0.05, 0.01, 0.09]


def test_metrics_rows_cost_and_share_reused(tmp_path):
    metrics = mlflow_headline.metrics(record(tmp_path))
    assert (metrics["rows/selected"], metrics["dropped/questions"], metrics["reused/share"]) == (80.0, 7.0, 0.0)
    assert (metrics["cost/gpu_hours"], metrics["cost/tokens_per_verified"]) == (pytest.approx(0.3), 44.5)


def test_metrics_names_hold_no_name_of_a_checkpoint(tmp_path):
    names = " ".join([*mlflow_headline.metrics(record(tmp_path)), *mlflow_headline.tags(record(tmp_path))])
    assert "toy" not in names


def test_metrics_without_gpus_have_no_gpu_hours(tmp_path):
    made = record(tmp_path)
    assert "cost/gpu_hours" not in mlflow_headline.metrics(made.model_copy(update={"cost": run_facts.RunCost()}))


def test_params_are_pins_and_protocols(tmp_path):
    params = mlflow_headline.params(record(tmp_path))
    assert params.pop("pin/small").startswith("toy-1/v1 ")
    assert params == {"pin/student": "hf://org/student@c0ffee f00d", "protocol/arithmetic": "p1"}


@pytest.mark.parametrize(
    ("decision", "champion"), [(nights.CHAMPION, "4"), (nights.REJECTED, "3"), (nights.GateDecision("champion", "none"), "4")]
)
def test_tags_decision_and_the_champion_after_it(tmp_path, decision, champion):
    tags = mlflow_headline.tags(record(tmp_path, decision=decision))
    assert (tags["decision"], tags["model.version"], tags["champion.version"]) == (decision.rank, "4", champion)
    assert tags["reused"] == "nothing"


def test_tags_and_description_of_a_run_that_was_all_reused_point_to_what_held_it(tmp_path):
    made = record(tmp_path, since=nights.START + timedelta(hours=1))
    assert mlflow_headline.tags(made)["reused"] == "all"
    assert "toy-1/v1" in mlflow_headline.tags(made)["reused_from"]
    assert mlflow_headline.description(made).startswith("**Nothing new**: all 8 artifacts were already there, in version v1.")


def test_description_says_what_was_decided_and_by_how_much_it_gained(tmp_path):
    text = mlflow_headline.description(record(tmp_path))
    assert "house-toy version 4: **champion**, no benchmark is worse." in text
    assert "arithmetic, round 1: sft 0.600 [" in text
    assert "], +0.200 [+0.1" in text
    assert "[run in Airflow](http://a/dags/toy/runs/1)" in text
