import json
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
        "checkpoint": "s3://b/sft/laptop-anneal/v1", "profile": "laptop", "benchmarks": ["arithmetic"], "rounds": None,
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
    assert first["target"] == "s3://b/report/laptop-anneal-laptop-arithmetic/v2"
    assert json.loads(second["overrides"])["benchmarks"] == [f"aime-2024@{commit}"]
    assert second["target"] == "s3://b/report/laptop-anneal-laptop-aime-2024/v2"


def test_evaluate_takes_the_benchmarks_own_recipe_where_the_paper_has_one(monkeypatch):
    (made,) = planned(monkeypatch, profile="answers-32b", benchmarks=["gpqa-diamond"])
    assert made["recipe"] == "@answers-32b/report-gpqa-diamond"
    assert json.loads(made["overrides"]) == {"benchmarks": ["gpqa-diamond"]}, "rounds as the recipe says"
    (made,) = planned(monkeypatch, profile="answers-32b", benchmarks=["mmlu"])
    assert made["recipe"] == "@answers-32b/report"


def test_evaluate_benchmark_that_a_paper_does_not_measure_is_refused(monkeypatch):
    with pytest.raises(AirflowFailException, match="think-twice has no recipe for benchmark mmlu"):
        planned(monkeypatch, profile="think-twice", benchmarks=["mmlu"])


def test_evaluate_reports_are_mapped_and_take_their_slots_from_a_pool(evaluate):
    report = evaluate.get_task("report")
    assert report.is_mapped
    assert (report.partial_kwargs["pool"], report.upstream_task_ids) == ("cpu", {"plan"})
    assert report.partial_kwargs["on_failure_callback"]


def test_evaluate_profiles_are_those_with_recipes_of_reports_but_for_make_results(evaluate):
    offered = set(evaluate.params.get_param("profile").schema["enum"])
    named = [name.partition("/") for name in recipes()]
    assert offered | {"results"} == {profile for profile, _, recipe in named if recipe.partition("-")[0] == "report"}


@pytest.mark.parametrize(("param", "value"), [("checkpoint", ""), ("benchmarks", []), ("rounds", 9), ("profile", "nobody")])
def test_evaluate_param_out_of_bounds_is_refused(evaluate, param, value):
    with pytest.raises(ParamValidationError):
        evaluate.params.get_param(param).resolve(value)
