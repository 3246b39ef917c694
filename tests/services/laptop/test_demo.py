import io
import json
from collections.abc import Iterator

import pytest
from rich.console import Console

from laptop import demo as demo_module
from laptop import supervision
from laptop.demo import demo, log_of
from stillhouse.errors import ServiceFailed
from stillhouse.watching import following
from stillhouse.watching.airflow_rest import TaskState, error_in

ORDER = [f"stage-{number}" for number in range(1, 9)]
RUN = dict.fromkeys(ORDER, "waiting")


class Scripted:
    """An Airflow that plays one scene at every question; a scene is a run's state and the states of its tasks."""

    def __init__(self, *scenes: tuple[str, dict[str, str]], unfinished: tuple[str, ...] = ()) -> None:
        self.scenes: Iterator = iter(scenes)
        self.open = list(unfinished)
        self.told: list = []
        self.states: dict[str, str] = {}

    def order(self) -> list[str]:
        return ORDER

    def page(self, run_id: str) -> str:
        return f"http://airflow/dags/toy/runs/{run_id}"

    def link(self, run_id: str) -> str:
        return f"http://airflow/login/{run_id}"

    def unfinished(self) -> list[str]:
        return self.open

    def give_up(self, run_id: str) -> None:
        self.told.append(("give up", run_id))

    def trigger(self, run_id: str, conf: dict) -> None:
        self.told.append(("trigger", conf))
        self.open = [*self.open, run_id]

    def state(self, run_id: str) -> str:
        scene = next(self.scenes)
        if isinstance(scene, BaseException):
            raise scene
        state, changed = scene
        self.states = RUN | changed
        return state

    def tasks(self, run_id: str) -> list[TaskState]:
        return [TaskState(name, state, 61.0, 1) for name, state in self.states.items()]


@pytest.fixture
def play(machine, monkeypatch):
    """Run the demo against a script; returns whether it succeeded and what it printed. ``play.calls``: of the services."""
    calls: list[str] = []
    before: dict[str, int | None] = {"mlflow": None}
    monkeypatch.setattr(following, "ASK_EVERY_S", 0)
    monkeypatch.setattr(demo_module.services, "running", lambda laptop: before)
    monkeypatch.setattr(demo_module.services, "start", lambda laptop, say, without: calls.append("start") or [])
    monkeypatch.setattr(demo_module.services, "start_one", lambda laptop, name: calls.append(name))
    monkeypatch.setattr(demo_module.services, "stop", lambda laptop: calls.append("stop"))
    monkeypatch.setattr(supervision.processes, "find", lambda laptop, name: None if name in played.dead else object())
    monkeypatch.setattr(
        demo_module, "_summary", lambda console, laptop, end, profile, version: console.print(f"{end} {profile} {version} table")
    )

    def played(airflow: Scripted, *, console: Console | None = None, profile: str = "toy") -> tuple[bool, str]:
        console = console or Console(file=io.StringIO(), width=100)
        monkeypatch.setattr(demo_module, "prepare", lambda laptop, dag, since: airflow)
        succeeded = demo(console, machine, profile, "v1")
        return succeeded, console.file.getvalue()

    played.calls, played.before, played.dead = calls, before, []
    return played


def fail(machine, monkeypatch, name: str, error: str) -> None:
    """Write the log that Airflow leaves of a failed task, under whatever id the run gets."""
    log = machine.home / "the.log"
    log.write_text(json.dumps({"event": "Task failed", "error_detail": [{"exc_value": error}]}))
    real = log_of(machine, "toy", "r", TaskState(name, "failed", 0, 1))
    monkeypatch.setattr(demo_module, "log_of", lambda laptop, dag, run_id, task: log if task.name == name else real)


def test_demo_plain_prints_a_line_for_every_change_and_the_summary(play):
    first = {"stage-1": "running"}
    succeeded, said = play(Scripted(
        ("running", first), ("running", first), ("running", {"stage-1": "success", "stage-2": "queued"}),
        ("success", dict.fromkeys(ORDER, "success")),
    ))  # fmt: skip
    assert succeeded
    lines = said.splitlines()
    assert [line.split() for line in lines if line.startswith("stage-1")] == [
        ["stage-1", "running"],
        ["stage-1", "done", "in", "1:01"],
    ]
    assert [line.split() for line in lines if line.startswith("stage-2")] == [["stage-2", "done", "in", "1:01"]]
    assert "registry toy v1 table" in lines
    assert lines[-1].startswith("done in 0:0")
    assert "not reached" not in said


def test_demo_plain_failure_prints_task_error_log_and_how_many_were_not_reached(play, machine, monkeypatch):
    fail(machine, monkeypatch, "stage-2", "questions has 0 rows [math];\n give it some [/tag]")
    ended = {"stage-1": "success", "stage-2": "failed"} | dict.fromkeys(ORDER[2:], "upstream_failed")
    succeeded, said = play(Scripted(("running", {"stage-1": "success"}), ("failed", ended)))
    assert not succeeded
    lines = said.splitlines()
    assert "stage-2 failed: questions has 0 rows [math]; give it some [/tag]" in lines
    assert f"  log: {machine.home / 'the.log'}" in lines
    assert lines.count("6 stages not reached") == 1
    assert not any(line.startswith(tuple(ORDER[2:])) for line in lines)
    assert "table" not in said
    assert lines[-1].startswith("failed in ")


def test_demo_names_a_service_that_died_and_goes_on(play, machine):
    play.dead.append("scheduler")
    airflow = Scripted(("running", {}), ("success", dict.fromkeys(ORDER, "success")))
    real = airflow.state

    def revived(run_id: str) -> str:
        play.dead.clear()
        return real(run_id)

    airflow.state = revived
    succeeded, said = play(airflow)
    assert succeeded
    assert said.splitlines().count(f"scheduler died, its log is {machine.log('scheduler')}: starting it again") == 1
    assert play.calls.count("scheduler") == 1


def test_demo_ends_with_one_line_where_a_service_keeps_dying(play, machine):
    machine.log("mlflow").write_text("database is locked\n")
    play.dead.append("mlflow")
    with pytest.raises(ServiceFailed, match="^mlflow died 4 times: database is locked; read .*mlflow.log$"):
        play(Scripted(*[("running", {})] * 9))


def test_demo_stale_version_says_which_command_makes_another(play, machine, monkeypatch):
    fail(machine, monkeypatch, "stage-1", "x holds another fingerprint; choose another version")
    _, said = play(Scripted(("failed", {"stage-1": "failed"})))
    assert "make demo VERSION=another-name" in said


def test_demo_failure_without_a_failed_stage_points_to_the_scheduler(play, machine):
    _, said = play(Scripted(("failed", {})))
    assert f"the run failed without a failed stage; look at {machine.log('scheduler')}" in said


def test_demo_of_the_answer_study_ends_in_its_comparison(play):
    _, said = play(Scripted(("success", {})), profile="toy-study")
    assert "/runs/demo-toy-study-" in said
    assert "comparison-study toy-study v1 table" in said


def test_demo_stops_the_services_that_it_started(play):
    play(Scripted(("success", {})))
    assert play.calls == ["start", "triggerer", "stop"]


def test_demo_leaves_services_running_that_ran_before(play):
    play.before["mlflow"] = 12
    play(Scripted(("success", {})))
    assert play.calls == ["start", "triggerer"]


def test_demo_gives_up_runs_that_were_cut_off_with_the_services(play):
    airflow = Scripted(("success", {}), unfinished=("old",))
    play(airflow)
    assert airflow.told == [("give up", "old"), ("trigger", {"version": "v1"})]


def test_demo_beside_a_run_of_running_services_starts_at_once(play):
    play.before["mlflow"] = 12
    airflow = Scripted(("success", {}), unfinished=("nightly",))
    play(airflow)
    assert airflow.told == [("trigger", {"version": "v1"})]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ServiceFailed("Airflow does not answer")])
def test_demo_cut_off_gives_up_its_run_and_stops_the_services(play, error):
    airflow = Scripted(("running", {}), error)
    with pytest.raises(type(error)):
        play(airflow)
    assert [each for each, _ in airflow.told] == ["trigger", "give up"]
    assert airflow.told[1][1].startswith("demo-toy-")
    assert play.calls[-1] == "stop"


def test_demo_interrupt_stays_one_where_airflow_is_gone_too(play, monkeypatch):
    airflow = Scripted(("running", {}), KeyboardInterrupt())

    def gone(run_id):
        raise ServiceFailed

    monkeypatch.setattr(airflow, "give_up", gone)
    with pytest.raises(KeyboardInterrupt):
        play(airflow)
    assert play.calls[-1] == "stop"


def test_demo_live_ends_with_every_stage_on_a_terminal_that_is_too_low_for_them(play, machine, monkeypatch):
    fail(machine, monkeypatch, "stage-7", "out of luck")
    done = dict.fromkeys(ORDER[:6], "success")
    console = Console(file=io.StringIO(), width=100, height=6, force_terminal=True, legacy_windows=False, color_system=None)
    succeeded, said = play(
        Scripted(
            ("running", done | {"stage-7": "running"}), ("failed", done | {"stage-7": "failed", "stage-8": "upstream_failed"})
        ),
        console=console,
    )
    assert not succeeded
    last = said.rpartition("stage ")[2]
    assert [name for name in ORDER if name in last] == ORDER
    assert "not reached" in last
    assert "stage-7 failed: out of luck" in said
    assert "stages not reached" not in said


def test_demo_says_at_once_what_it_will_run(play):
    _, said = play(Scripted(("success", {})))
    first = said.splitlines()[0]
    assert first.startswith("toy: ")
    assert first.endswith("; version v1")


def test_demo_that_succeeded_points_at_the_runs_own_pages(play, machine):
    _, said = play(Scripted(("success", {})))
    assert "Airflow  http://airflow/dags/toy/runs/demo-toy-" in said
    assert f"MLflow   {machine.mlflow_url}" in said
    assert "`make up` starts both servers again" in said


def test_log_of_names_the_last_try(machine):
    log = log_of(machine, "retrain", "demo-1", TaskState("sft-1", "failed", 1.0, 2))
    assert log == machine.airflow_home / "logs" / "dag_id=retrain" / "run_id=demo-1" / "task_id=sft-1" / "attempt=2.log"


@pytest.mark.parametrize("odd", ["not json", "42", '["a"]', "null", '{"event": "cut o', ""])
def test_error_in_a_log_steps_over_lines_of_another_form(tmp_path, odd):
    log = tmp_path / "log"
    log.write_text(f'{{"event": "started"}}\n{odd}')
    assert error_in(demo_module._entries(log)) == "started"


def test_error_in_a_log_that_is_not_there_says_so(tmp_path):
    assert error_in(demo_module._entries(tmp_path / "gone")) == "no log was written"
