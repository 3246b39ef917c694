import re

import pytest

VARIANTS = ("original", "answer", "summary")


@pytest.fixture
def study(dags):
    return dags["laptop-study"]


def inputs_of(task) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for at, word in enumerate(task.cmds):
        if word == "--input":
            name, uri = task.cmds[at + 1].split("=", 1)
            named.setdefault(name, []).append(re.fullmatch(r"\{\{ artifact\('(.+)'\) \}\}", uri)[1])
    return named


def recipe_of(task) -> str:
    return re.search(r"layers\('(.+?)'\)", task.cmds[task.cmds.index("--config") + 1])[1]


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


def test_answer_study_of_the_paper_has_a_control_by_another_model(dags):
    study = dags["non-reasoning"]
    assert {"responses-control", "verified-control", "selected-control", "sft-control"} <= {task.task_id for task in study.tasks}


def test_answer_study_of_the_paper_compares_the_four_students_on_every_set_of_benchmarks(dags):
    study = dags["non-reasoning"]
    for suffix in ("", "-gpqa-diamond", "-humaneval", "-ifeval"):
        reports = [f"report-{variant}{suffix}" for variant in (*VARIANTS, "control")]
        assert inputs_of(study.get_task(f"comparison-study{suffix}")) == {"reports": reports}


def test_answer_study_failures_raise_an_alert(study):
    assert all(task.on_failure_callback for task in study.tasks if hasattr(task, "cmds"))
