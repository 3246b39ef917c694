import pytest

from stillhouse.api import forecast
from stillhouse.api.forecast import PlannedTask
from stillhouse.api.running import load_recipe
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import BadConfig
from stillhouse.testing import publish, question
from stillhouse.vocabulary.rows import Question


def by_task(plan):
    return {one.task: one for one in plan.tasks}


def test_plan_of_deepdistill_has_the_reports_numbers():
    """3,337,144 questions, three teachers, four samples each: 40.05 million responses (§2.3)."""
    planned = by_task(forecast.plan_profile("deepdistill-32b", "", "1"))
    assert planned["responses"].rows == 3_337_144 * 12
    assert planned["selected"].rows == 3_337_144 * 4
    assert planned["responses"].gpu_hours == pytest.approx(40_045_728 * 4000 / 1500 / 3600)
    assert planned["responses"].basis == "assumed"


def test_plan_counts_what_generated_sources_make_and_what_follows():
    planned = by_task(forecast.plan_profile("laptop", "", "1"))
    assert planned["questions"].rows == 960
    assert planned["responses-large"].samples == 960 * 4
    assert [name for name in planned if name.startswith("report")] == ["report", "report (2)", "report (3)", "report (4)"]


def test_plan_says_what_is_already_there(tmp_path):
    config = load_recipe("toy/questions")
    task = PlannedTask("questions", "questions", "questions", config.model_dump(mode="json"))
    store = tmp_path.as_uri()
    assert not forecast.plan("toy", [task], store, "1").tasks[0].reused
    from stillhouse import stages
    from stillhouse.execution.execute import execute

    execute(stages.load("questions"), config, {}, f"{store}/questions/toy/1")
    assert forecast.plan("toy", [task], store, "1").tasks[0].reused
    again = forecast.plan("toy", [task], store, "2")
    assert again.tasks[0].reused, "another version of the store holds it"
    assert "already there: questions" in again.as_text()


def test_plan_takes_the_rows_of_an_earlier_run_where_no_source_says_how_many(tmp_path):
    config = load_recipe("am-1.4m/questions").model_dump(mode="json")
    task = PlannedTask("questions", "questions", "questions", config)
    publish([question(f"What is {n}?", "1") for n in range(7)], Question, f"{tmp_path.as_uri()}/questions/am-1.4m/v1")
    found = forecast.plan("am-1.4m", [task], tmp_path.as_uri(), "v2").tasks[0]
    assert (found.rows, found.basis) == (7, "measured")


def test_plan_of_an_unknown_profile_names_the_nearest():
    with pytest.raises(BadConfig, match="did you mean laptop"):
        forecast.plan_profile("laptp", "", "1")


@pytest.mark.parametrize(
    ("name", "count"),
    [("hf://Qwen/Qwen2.5-32B", 32e9), ("hf://deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B@abc", 1.5e9), ("models:/mine@champion", 0),
     ("llm/SmolLM2-135M-Instruct", 135e6)],
)  # fmt: skip
def test_parameters_are_read_from_a_models_name(name, count):
    assert forecast.parameters(name) == count


def test_took_compares_what_a_run_made_itself_with_what_was_planned(tmp_path):
    uri = f"{tmp_path.as_uri()}/questions/mine/1"
    publish([question("What is 1?", "1"), question("What is 2?", "2")], Question, uri)
    missing = {"task": "graded", "uri": f"{tmp_path.as_uri()}/graded/mine/1", "rows": 3, "tokens": 0, "bytes": 9, "hours": 1}
    taken = forecast.took([{"task": "questions", "uri": uri, "rows": 3, "tokens": 0, "bytes": 4500, "hours": 0.5}, missing])
    totals = taken.totals()
    assert (totals["plan/rows"], totals["took/rows"], totals["took/artifacts"]) == (6, 2, 1)
    assert totals["plan/hours"] == 1.5 > totals["took/hours"] >= 0
    assert totals["took/bytes"] == sum(file.bytes for file in manifests.load(uri).files.values())
    head, line = taken.as_text().splitlines()
    assert head.split()[:5] == ["task", "rows:", "planned", "rows:", "taken"]
    assert line.split()[:3] == ["questions", "3", "2"]


def test_plan_expects_nothing_of_what_is_already_there(tmp_path):
    estimates = [forecast.Estimate("questions", 7, uri="a", reused=True), forecast.Estimate("graded", 7, cpu_hours=2.0, uri="b")]
    [expected] = forecast.Plan("toy", estimates).expected()
    assert (expected["task"], expected["rows"], expected["hours"]) == ("graded", 7, 2.0)
