import re

import pytest

from stillhouse import stages
from stillhouse.execution.contract import input_names
from stillhouse.execution.recipes import recipes

VARIANTS = ("original", "answer", "summary")


@pytest.fixture
def study(dags):
    return dags["answer_study"]


def stage_tasks(study):
    return [task for task in study.tasks if hasattr(task, "cmds")]


def inputs_of(task) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for at, word in enumerate(task.cmds):
        if word == "--input":
            name, uri = task.cmds[at + 1].split("=", 1)
            named.setdefault(name, []).append(re.fullmatch(r"\{\{ artifact\('(.+)'\) \}\}", uri)[1])
    return named


def recipe_of(task) -> str:
    return task.cmds[task.cmds.index("--config") + 1].removeprefix("@{{ params.profile }}/")


def test_answer_study_variants_differ_in_their_selection_alone(study):
    for variant in VARIANTS:
        student, report = study.get_task(f"sft-{variant}"), study.get_task(f"report-{variant}")
        assert inputs_of(student) == {"selected": [f"selected-{variant}"], "checkpoint": ["sft-base"]}
        assert inputs_of(report) == {"checkpoint": [f"sft-{variant}"]}
    assert {recipe_of(study.get_task(f"sft-{variant}")) for variant in VARIANTS} == {"sft-study"}, "one budget, one seed"
    assert {recipe_of(study.get_task(f"report-{variant}")) for variant in VARIANTS} == {"report"}
    selections = [inputs_of(study.get_task(f"selected-{variant}")) for variant in VARIANTS]
    assert [each["questions"] for each in selections] == [["questions"]] * 3
    assert [each["responses"] for each in selections] == [["responses-large"]] * 2 + [["responses-large", "responses-summary"]]


def test_answer_study_compares_with_the_original_answers(study):
    assert inputs_of(study.get_task("comparison-study")) == {"reports": [f"report-{variant}" for variant in VARIANTS]}


def test_answer_study_tasks_wait_for_what_they_read_and_give_what_their_stage_takes(study):
    for task in stage_tasks(study):
        read = inputs_of(task)
        assert task.upstream_task_ids - {"open_run"} == {name for names in read.values() for name in names}
        assert read.keys() <= input_names(stages.load(recipe_of(task).split("-")[0]).Inputs).keys()


@pytest.mark.parametrize("profile", ["laptop", "toy"])
def test_answer_study_recipes_are_there(study, profile):
    assert {f"{profile}/{recipe_of(task)}" for task in stage_tasks(study)} - set(recipes()) == set()


def test_answer_study_shares_what_retrain_makes(study, dags):
    retrain = {task.task_id: (task.target, task.cmds[:4]) for task in dags["retrain"].tasks if hasattr(task, "cmds")}
    for name in ("questions-corpus", "selected-corpus", "sft-base", "sft-large", "questions", "responses-large"):
        assert study.get_task(name).target == retrain[name][0]


def test_answer_study_failures_raise_an_alert(study):
    assert all(task.on_failure_callback for task in stage_tasks(study))
