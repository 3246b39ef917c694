import copy
import json
import re
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from operators import evaluations
from stillhouse.execution.recipes import recipes


@pytest.fixture
def evaluate(dags):
    return dags["evaluate"]


def planned(monkeypatch, **params):
    given = {
        "checkpoint": "s3://b/sft/laptop-anneal/v1", "protocol": "laptop", "benchmarks": ["arithmetic"], "rounds": None,
        "version": "v2",
    }  # fmt: skip
    context = {"params": given | params, "dag_run": SimpleNamespace()}
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b")
    monkeypatch.setattr(evaluations, "get_current_context", lambda: context)
    return evaluations.plan.function()


def test_evaluate_plans_one_report_to_a_benchmark_over_all_rounds(monkeypatch):
    commit = "a" * 40
    first, second = planned(monkeypatch, benchmarks=["arithmetic", f"aime-2024@{commit}"], rounds=4)
    assert first["recipe"] == "@laptop/report"
    assert json.loads(first["overrides"]) == {"benchmarks": ["arithmetic"], "rounds": 4}
    assert first["inputs"] == {"checkpoint": "s3://b/sft/laptop-anneal/v1"}
    assert re.fullmatch(r"s3://b/report/sft-laptop-anneal-v1-laptop-arithmetic-[0-9a-f]{8}/v2", first["target"])
    assert json.loads(second["overrides"])["benchmarks"] == [f"aime-2024@{commit}"]
    assert re.fullmatch(r"s3://b/report/sft-laptop-anneal-v1-laptop-aime-2024-[0-9a-f]{8}/v2", second["target"])


def test_evaluate_takes_the_benchmarks_own_recipe_where_the_paper_has_one(monkeypatch):
    (made,) = planned(monkeypatch, protocol="non-reasoning", benchmarks=["gpqa-diamond"])
    assert made["recipe"] == "@non-reasoning/report-gpqa-diamond"
    assert json.loads(made["overrides"]) == {"benchmarks": ["gpqa-diamond"]}, "rounds as the recipe says"
    (made,) = planned(monkeypatch, protocol="non-reasoning", benchmarks=["mmlu"])
    assert made["recipe"] == "@non-reasoning/report"


def test_evaluate_benchmark_that_a_paper_does_not_measure_is_refused(monkeypatch):
    with pytest.raises(AirflowFailException, match="think-twice has no recipe for benchmark mmlu"):
        planned(monkeypatch, protocol="think-twice", benchmarks=["mmlu"])


def test_evaluate_reports_are_mapped_and_take_their_slots_from_a_pool(evaluate):
    report = evaluate.get_task("report")
    assert report.is_mapped
    assert (report.partial_kwargs["pool"], report.upstream_task_ids) == ("cpu", {"plan"})
    assert report.partial_kwargs["on_failure_callback"]


def test_evaluate_protocols_are_the_profiles_with_recipes_of_reports(evaluate):
    offered = set(evaluate.params.get_param("protocol").schema["enum"])
    named = [name.partition("/") for name in recipes()]
    assert offered == {profile for profile, _, recipe in named if recipe.partition("-")[0] == "report"}


@pytest.mark.parametrize(("param", "value"), [("checkpoint", ""), ("benchmarks", [""]), ("rounds", 9), ("protocol", "nobody")])
def test_evaluate_param_out_of_bounds_is_refused(evaluate, param, value):
    with pytest.raises(ParamValidationError):
        copy.copy(evaluate.params.get_param(param)).resolve(value)


def test_evaluate_two_checkpoints_of_one_name_have_two_reports(monkeypatch):
    uris = ["s3://b/sft/mine/v1", "s3://b/sft/mine/v2", "s3://b/rl/mine/v1", "hf://ORG/mine", "models:/mine@champion"]
    assert len({planned(monkeypatch, checkpoint=uri)[0]["target"] for uri in uris}) == len(uris)


def test_evaluate_measures_what_the_event_names_where_the_form_names_nothing(monkeypatch):
    event = SimpleNamespace(extra={"uri": "s3://b/rl/night/7"})
    params = {"checkpoint": None, "protocol": "laptop", "benchmarks": ["arithmetic"], "rounds": None, "version": "v2"}
    context = {"params": params, "dag_run": SimpleNamespace(), "triggering_asset_events": {"checkpoint": [event]}}
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b")
    monkeypatch.setattr(evaluations, "get_current_context", lambda: context)
    assert [made["inputs"] for made in evaluations.plan.function()] == [{"checkpoint": "s3://b/rl/night/7"}]
    context["triggering_asset_events"] = {}
    with pytest.raises(AirflowFailException, match="nothing to measure"):
        evaluations.plan.function()
