from datetime import timedelta

import pytest

from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.reporting import run_facts
from stillhouse.reporting.run_record import RunTask
from tests.unit.reporting import nights


def record(run, **options):
    return run_facts.record(run, run_facts.read(run), **options)


def test_record_scores_by_role_with_their_protocol(tmp_path):
    made = record(nights.publish_night(tmp_path, "v1"))
    assert [(score.role, score.benchmark, score.number, score.measured.mean) for score in made.scores] == [
        ("base", "arithmetic", 1, 0.4), ("sft", "arithmetic", 1, 0.6)
    ]  # fmt: skip
    assert {score.protocol for score in made.scores} == {"p1"}
    assert made.scores[0].settings == {"samples": 1, "temperature": 0.6, "top_p": 0.95, "max_tokens": 64}
    assert made.final == "sft"


def test_record_gain_over_base_is_paired(tmp_path):
    [gain] = record(nights.publish_night(tmp_path, "v1")).gains
    assert (gain.role, gain.benchmark, gain.number) == ("sft", "arithmetic", 1)
    assert gain.difference.mean == pytest.approx(0.2)
    # 40 of 200 questions were gained and none lost: a paired interval is that of 40 of 200.
    assert 0.14 < gain.difference.low < 0.15 < 0.25 < gain.difference.high < 0.27


def test_record_cost_counts_gpus_new_tokens_and_verified_samples(tmp_path):
    cost = record(nights.publish_night(tmp_path, "v1")).cost
    assert cost.task_hours == pytest.approx(12 / 60)
    assert cost.gpu_hours == pytest.approx((3 * 4 + 3 * 2) / 60)
    assert cost.wall_hours == pytest.approx(12 / 60)
    assert cost.tokens_sampled == pytest.approx(4000 * 50 / 200 + 2 * 200 * 5.0)
    assert (cost.tokens_trained, cost.n_verified, cost.tokens_per_verified) == (1e6, 90, 44.5)
    assert cost.gpu_seconds_per_verified == pytest.approx(3 * 60 * 4 / 90)


def test_record_without_gpus_does_not_claim_that_it_took_none(tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    run = run.model_copy(update={"tasks": {name: RunTask(uri=task.uri, role=task.role) for name, task in run.tasks.items()}})
    cost = record(run).cost
    assert (cost.gpu_hours, cost.gpu_seconds_per_verified) == (None, None)


def test_record_models_have_their_pins(tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    fingerprint = run_facts.read(run).by_task["sft-1"].manifest.fingerprint
    assert record(run).pins == {"student": "hf://org/student@c0ffee f00d", "small": f"toy-1/v1 {fingerprint}"}


def test_record_rows_drops_decision_and_page(tmp_path):
    made = record(nights.publish_night(tmp_path, "v1"))
    assert made.rows == {"questions": 100, "responses-large": 200, "verified": 200, "selected": 80}
    assert made.dropped == {"questions": 7}
    assert (made.model, made.model_version, made.is_champion) == ("house-toy", "4", True)
    assert made.page == f"{tmp_path.as_uri()}/registry/toy/v1/report.html"


def test_record_what_another_version_held_is_reused_and_costs_nothing(tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    pointing = nights.publish(f"{tmp_path.as_uri()}/responses/toy-large/v2", 30, 0, minutes=9, rows=200, same_as="toy-large/v1")
    second = run.model_copy(update={"run": "v2", "tasks": run.tasks | {"responses-large": RunTask(uri=pointing, gpus=4)}})
    made = record(second.model_copy(update={"models": {"large": "task:responses-large"}}))
    assert made.pins["large"].startswith("toy-large/v1 ")  # as in the run that made it: the pins of both are equal
    assert made.reused == {"responses-large": "toy-large/v1"}
    assert made.cost.gpu_hours == pytest.approx(3 * 2 / 60)
    assert not made.is_all_reused


def test_record_of_a_run_that_found_everything_made_says_so(tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    made = record(run, since=nights.START + timedelta(hours=1))
    assert made.is_all_reused
    assert made.reused["sft-1"] == "toy-1/v1"
    assert (made.cost.task_hours, made.cost.gpu_hours, made.cost.tokens_sampled) == (0.0, 0.0, 0.0)


def test_record_task_that_failed_or_is_damaged_is_left_out(tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    (tmp_path / "registry/toy/v1/manifest.json").unlink()
    (tmp_path / "selected/toy/v1/manifest.json").write_text("{}")
    (tmp_path / "report/toy-base/v1/outcomes.json").write_text('{"version": 99}')
    made = record(run)
    assert (made.decision, "selected" in made.rows, [score.role for score in made.scores]) == (None, False, ["sft"])
    assert [("selected/toy/v1" in problem, "outcomes.json" in problem) for problem in made.problems] == [
        (True, False),
        (False, True),
    ]


def test_record_roles_come_in_the_order_of_training_and_the_registered_one_is_final(tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    names = ["report-sft", "report-base", *(name for name in run.tasks if not name.startswith("report"))]
    shuffled = run.model_copy(update={"tasks": {name: run.tasks[name] for name in names}})
    made = record(shuffled)
    assert (list(dict.fromkeys(score.role for score in made.scores)), made.final) == (["base", "sft"], "sft")


def test_record_of_a_store_that_was_moved_still_knows_its_final_checkpoint(tmp_path):
    run = nights.publish_night(tmp_path / "old", "v1")
    (tmp_path / "old").rename(tmp_path / "new")
    tasks = {name: task.model_copy(update={"uri": task.uri.replace("/old/", "/new/")}) for name, task in run.tasks.items()}
    assert record(run.model_copy(update={"tasks": tasks})).final == "sft"


def test_record_reports_of_one_role_by_benchmark_are_one_role(tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    other = Outcomes(benchmarks={"aime-2024": nights.outcomes(10, "aime-2024").benchmarks["aime-2024"]})
    uri = nights.publish(f"{tmp_path.as_uri()}/report/toy-sft-aime-2024/v1", 11, 0, files={"report.html": None}, records=[other])
    made = record(run.model_copy(update={"tasks": run.tasks | {"report-sft-aime-2024": RunTask(uri=uri, role="sft")}}))
    assert {(score.role, score.benchmark) for score in made.scores} == {
        ("base", "arithmetic"), ("sft", "arithmetic"), ("sft", "aime-2024")
    }  # fmt: skip
