import io
import json
import math
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stillhouse import testing
from stillhouse.artifacts.manifest import Link
from stillhouse.errors import NothingToDo, Preempted, TrackingRefused
from stillhouse.execution import mlflow_runs, run_status, tracked_run, tracking
from stillhouse.execution.execute import execute
from stillhouse.vocabulary.rows import Question
from tests.unit import toy_stage

pytestmark = pytest.mark.timeout(300)
LINKS = {"questions": [Link(uri="file:///root/questions/toy/1", fingerprint="f1")]}


def runs_of(mlflow) -> list:
    experiment = mlflow.get_experiment_by_name(os.environ["MLFLOW_EXPERIMENT_NAME"])
    return mlflow.search_runs([experiment.experiment_id]) if experiment else []


def test_run_no_server_named_is_untracked(tmp_path, monkeypatch, capsys):
    with tracking.run("sft", "file:///x/sft/toy/1", {}, {}, "f") as run:
        run.log({"loss": 1.0})
        run.progress(2, 4, "steps")
    assert run.id is None
    assert "2 of 4 steps (50%)" in capsys.readouterr().err


def test_progress_on_a_terminal_is_a_bar_drawn_over_the_last_one(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setattr(tracked_run, "PROGRESS_EVERY_S", 0)
    run = tracking.Untracked()
    run.progress(6, 24, "responses · 9 tokens/s")
    run.progress(24, 24, "responses")
    first, last = screen.getvalue().split("\r")[1:]
    assert first == f"  {'█' * 6}{'░' * 18} 6 of 24 responses (25%) · 9 tokens/s\x1b[K"
    assert last == f"  {'█' * 24} 24 of 24 responses (100%)\x1b[K\n"


def test_run_logs_params_tags_inputs_and_finishes(mlflow):
    with tracking.run("sft", "file:///root/sft/toy-base/7", {"learning_rate": 1e-5, "nested": {"a": 1}}, LINKS, "f2") as run:
        run.log({"loss": 2.0, "broken": math.nan}, step=1)
        run.log({"loss": 1.5}, step=2)
        run.progress(3, 3, "steps")
    made = mlflow.get_run(run.id)
    assert made.info.run_name == "sft/toy-base/7"
    assert made.info.status == "FINISHED"
    assert made.data.params == {"learning_rate": "1e-05", "nested": "{'a': 1}"}
    assert (made.data.tags["stage"], made.data.tags["fingerprint"]) == ("sft", "f2")
    assert [(each.step, each.value) for each in mlflow.get_metric_history(run.id, "loss")] == [(1, 2.0), (2, 1.5)]
    assert (made.data.metrics["progress/done"], "broken" in made.data.metrics) == (3.0, False)
    dataset = made.inputs.dataset_inputs[0]
    assert (dataset.dataset.digest, dataset.dataset.source) == ("f1", "file:///root/questions/toy/1")
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "questions")]


def test_run_many_numbers_in_a_moment_come_in_few_requests_and_none_is_lost(mlflow, monkeypatch):
    from mlflow import MlflowClient

    requests = []
    send = MlflowClient.log_batch
    monkeypatch.setattr(MlflowClient, "log_batch", lambda self, *args, **kwargs: requests.append(1) or send(self, *args, **kwargs))
    with tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        for step in range(1500):
            run.log({"loss": 1 / (step + 1)}, step)
    assert len(mlflow.get_metric_history(run.id, "loss")) == 1500
    assert len(requests) < 20


def test_run_metric_of_a_model_that_may_be_called_anything_is_kept(mlflow):
    with tracking.run("verified", "file:///root/verified/toy/1", {}, {}, "f") as run:
        run.log({"accuracy/gpt-4o (2024), v1@b": 0.5})
    assert mlflow.get_run(run.id).data.metrics["accuracy/gpt-4o _2024__ v1_b"] == 0.5


def test_run_artifact_that_is_a_table_is_shown_as_one(mlflow, tmp_path):
    path = tmp_path / "rollouts.table.json"
    path.write_text(json.dumps({"columns": ["text", "reward"], "data": [["two", 1.0], ["three", 0.5]]}))
    done = testing.publish(testing.questions(1), Question, (tmp_path / "questions" / "toy" / "1").as_uri())
    with tracking.run("rl", "file:///root/rl/toy/1", {}, {}, "f") as run:
        run.finish(done, [path])
    assert json.loads(mlflow.get_run(run.id).data.tags["mlflow.loggedArtifacts"]) == [{"path": path.name, "type": "table"}]
    found = mlflow.load_table(mlflow.get_run(run.id).info.experiment_id, path.name, [run.id])
    assert found.to_dict("records") == [{"text": "two", "reward": 1.0}, {"text": "three", "reward": 0.5}]


def test_run_below_a_parent_is_nested(mlflow, monkeypatch):
    parent = mlflow.create_run(mlflow.create_experiment("parent"))
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    with tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        pass
    assert mlflow.get_run(run.id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert mlflow.get_run(parent.info.run_id).info.status == "RUNNING"


def test_run_many_at_once_may_name_the_same_new_datasets(mlflow):
    links = {"responses": [Link(uri=f"file:///root/responses/{each}/1", fingerprint=f"new-{each}") for each in range(4)]}

    def one(index: int) -> str:
        with tracking.run("verified", f"file:///root/verified/toy/{index}", {}, links, "f") as run:
            return run.id

    with ThreadPoolExecutor(8) as pool:
        made = [mlflow.get_run(each) for each in pool.map(one, range(8))]
    assert [len(run.inputs.dataset_inputs) for run in made] == [4] * 8
    assert len({run.info.experiment_id for run in made}) == 1


def test_run_keeps_what_it_said_last_and_the_error_that_ended_it(mlflow, tmp_path):
    with pytest.raises(NothingToDo), tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        fail_after_saying_so()
    path = mlflow.download_artifacts(run.id, "log.txt", str(tmp_path))
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["reading rows", "NothingToDo: no rows to train on"]


def fail_after_saying_so() -> None:
    print("reading rows", file=sys.stderr)
    raise NothingToDo("no rows to train on")


def test_experiment_of_a_run_opens_in_the_view_of_trained_models(mlflow):
    with tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f"):
        pass
    experiment = mlflow.get_experiment_by_name(os.environ["MLFLOW_EXPERIMENT_NAME"])
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def fail_after_two_steps(run) -> None:
    run.log({"loss": 0.5}, 3)
    run.log({"loss": 0.25}, 4)
    raise NothingToDo("no rows to train on")


def test_run_block_raises_run_is_failed_with_the_error_as_tag(mlflow):
    with pytest.raises(NothingToDo), tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        fail_after_two_steps(run)
    made = mlflow.get_run(run.id)
    assert made.data.metrics["loss"] == 0.25
    assert (made.info.status, made.data.tags["error"]) == ("FAILED", "NothingToDo: no rows to train on")


def test_execute_tracked_run_holds_the_result_and_the_manifest_its_run(mlflow, tmp_path):
    questions = (tmp_path / "questions" / "toy" / "1").as_uri()
    testing.publish(testing.questions(3), Question, questions)
    manifest = execute(toy_stage, toy_stage.Config(), {"questions": [questions]}, f"{tmp_path}/toy_stage/toy/1").manifest
    made = mlflow.get_run(manifest.provenance.mlflow_run_id)
    assert made.data.metrics.items() >= {"n_rows": 3, "dropped/toy": 1, "n_made": 3}.items()
    shown = {each.path for each in mlflow.list_artifacts(made.info.run_id)}
    assert shown - {"log.txt"} == {"manifest.json", "dropped.table.json"}
    assert json.loads(made.data.tags["mlflow.loggedArtifacts"]) == [{"path": "dropped.table.json", "type": "table"}]
    table = mlflow.load_table(made.info.experiment_id, "dropped.table.json", [made.info.run_id])
    assert list(table["reason"]) == ["toy"]
    assert len(runs_of(mlflow)) == 2
    assert toy_stage.runs[-1].run_id == made.info.run_id


def test_execute_skipped_makes_no_run(mlflow, tmp_path):
    for _ in range(2):
        testing.publish(testing.questions(3), Question, f"{tmp_path}/questions/toy/1")
    assert len(runs_of(mlflow)) == 1


def test_register_file_checkpoint_can_be_downloaded_by_its_alias(mlflow, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    with tracking.run("registry", "file:///root/registry/toy/1", {}, {}, "f") as run:
        first = tracking.register("toy", checkpoint, checkpoint.as_uri(), run.id, {"pass_at_1": "0.5"}, {})
        second = tracking.register("toy", checkpoint, checkpoint.as_uri(), run.id, {"pass_at_1": "0.6"}, {})
        tracking.set_alias("toy", "champion", first)
        tracking.set_alias("toy", "champion", second)
    assert (first, second) == ("1", "2")
    assert tracking.tags_of("toy", "champion") == ("2", {"pass_at_1": "0.6"})
    version = mlflow.get_model_version_by_alias("toy", "champion")
    assert version.run_id == run.id
    assert [each.path for each in mlflow.list_artifacts(run.id, "checkpoint")] == ["checkpoint/config.json"]


@pytest.mark.parametrize("name", ["never-registered", "other"])
def test_tags_of_no_such_model_or_alias_is_none(mlflow, name):
    if name == "other":
        mlflow.create_registered_model(name)
    assert tracking.tags_of(name, "champion") is None


@pytest.fixture
def spooled(monkeypatch, tmp_path):
    """No server at the address, and little patience: what a run says stays in this directory."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://svc:h0rse-Battery@127.0.0.1:9")
    monkeypatch.setenv("STILLHOUSE_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("STILLHOUSE_TRACKING_PATIENCE_S", "0.1")
    return tmp_path / "spool"


def test_run_server_away_from_start_to_end_the_block_runs_and_its_numbers_wait(spooled, capsys):
    with tracking.run("sft", "file:///root/sft/toy/1", {"lr": 1}, LINKS, "f") as run:
        run.log({"loss": 0.5}, 1)
    assert run.id is None
    said = capsys.readouterr().err
    assert "records wait in" in said
    assert "`stillhouse sync`" in said
    assert "h0rse" not in said + "".join(path.read_text() for path in spooled.glob("*.jsonl"))


class Faulty(BaseHTTPRequestHandler):
    """A server in trouble: it answers 500, hangs, or closes the connection."""

    def do_GET(self) -> None:
        if self.server.fault == "500":
            self.send_error(500, "database is locked")
        elif self.server.fault == "hangs":
            self.server.released.wait(60)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.mark.parametrize("fault", ["500", "hangs", "closes"])
def test_run_server_in_trouble_neither_slows_nor_stops_the_block(spooled, monkeypatch, fault):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    server.fault, server.released = fault, threading.Event()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr(tracking, "START_S", 0.1)
    with tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        begun = time.monotonic()
        for step in range(1000):
            run.log({"loss": 0.5}, step)
        spent = time.monotonic() - begun
    server.released.set()
    server.shutdown()
    server.server_close()
    serving.join()
    assert spent < 20  # waiting for one request a step would take 1000
    text = next(spooled.glob("*.jsonl")).read_text()
    assert text.count('"loss"') == 1000
    last = json.loads(text.splitlines()[-1])
    assert (last["kind"], last["status"]) == ("end", "FINISHED")


def test_run_server_away_the_block_error_is_what_is_raised(spooled):
    with pytest.raises(NothingToDo, match="the reason"), tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f"):
        raise NothingToDo("the reason")


def test_run_disk_that_takes_no_spool_costs_the_run_not_the_stage(spooled, capsys):
    spooled.write_text("a file where the directory should be")
    with tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        run.log({"loss": 0.5}, 1)
    assert "this run is not tracked" in capsys.readouterr().err


def test_sync_what_was_kept_while_the_server_was_away_arrives_in_order_and_once(mlflow, mlflow_server, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_TRACKING_PATIENCE_S", "0.1")
    with monkeypatch.context() as outage:
        outage.setattr(mlflow_runs.Server, "create", unreachable)
        with tracking.run("sft", "file:///root/sft/toy/1", {"lr": 1}, LINKS, "f") as run:
            for step in range(50):
                run.log({"loss": 1 / (step + 1)}, step)
    assert runs_of(mlflow) == []
    assert tracking.sync() == (1, 0)
    made = runs_of(mlflow)[0]
    assert (made.info.status, made.data.params, made.info.run_name) == ("FINISHED", {"lr": "1"}, "sft/toy/1")
    history = mlflow.get_metric_history(made.info.run_id, "loss")
    assert [(each.step, each.value) for each in history] == [(step, 1 / (step + 1)) for step in range(50)]
    assert tracking.sync() == (0, 0)
    assert len(runs_of(mlflow)) == 1


def test_run_next_stage_on_the_machine_sends_what_an_earlier_one_left(mlflow, monkeypatch):
    with monkeypatch.context() as outage:
        outage.setenv("STILLHOUSE_TRACKING_PATIENCE_S", "0.1")
        outage.setattr(mlflow_runs.Server, "create", unreachable)
        with tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
            run.log({"loss": 0.5}, 1)
    with tracking.run("rl", "file:///root/rl/toy/1", {}, {}, "f"):
        waited(lambda: len([each for each in runs_of(mlflow) if each.info.status == "FINISHED"]) == 1)
    assert sorted(each.info.run_name for each in runs_of(mlflow)) == ["rl/toy/1", "sft/toy/1"]


def test_send_reply_that_was_lost_doubles_nothing(mlflow):
    with tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        pass
    server = mlflow_runs.Server()
    record = {"kind": "metrics", "at": 1_700_000_000_000, "step": 3, "values": {"loss": 0.5}}
    for _ in range(3):
        server.send(run.id, [record], None)
    assert [(each.step, each.value) for each in mlflow.get_metric_history(run.id, "loss")] == [(3, 0.5)]


def test_create_reply_that_was_lost_finds_the_run_instead_of_making_another(mlflow):
    header = {"execution": "e1", "experiment": os.environ["MLFLOW_EXPERIMENT_NAME"], "name": "n", "start": 1, "tags": {}}
    server = mlflow_runs.Server()
    assert server.create(header, again=True) == server.create(header, again=True)
    assert len(runs_of(mlflow)) == 1


def test_claimed_runs_of_killed_tries_of_the_output_are_closed_and_others_left(mlflow, monkeypatch):
    experiment = mlflow.create_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])

    def left_running(output: str, owner: str) -> str:
        tags = {mlflow_runs.OUTPUT_TAG: output, mlflow_runs.OWNER_TAG: owner}
        return mlflow.create_run(experiment, tags=tags).info.run_id

    output = "file:///root/sft/toy/1"
    killed_here, pod_gone = (left_running(output, owner) for owner in (f"{socket.gethostname()}:99999999:1", "pod-a:7:1"))
    alive, other = left_running(output, mlflow_runs.owner()), left_running("file:///root/sft/toy/2", "pod-a:7:1")
    with tracking.run("sft", output, {}, {}, "f") as run:
        run.claimed()
    status = {run_id: mlflow.get_run(run_id).info.status for run_id in (killed_here, pod_gone, alive, other, run.id)}
    assert list(status.values()) == ["KILLED", "KILLED", "RUNNING", "RUNNING", "FINISHED"]
    assert mlflow.get_run(killed_here).data.tags["error"] == f"killed: run {run.id} took over its output"


def test_run_preempted_is_killed_and_says_so(mlflow):
    with pytest.raises(Preempted), tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f") as run:
        raise Preempted
    made = mlflow.get_run(run.id)
    assert (made.info.status, made.data.tags["stillhouse.preempted"]) == ("KILLED", "true")
    assert made.data.tags["error"].startswith("preempted by SIGTERM")


def test_run_credentials_refused_is_an_error_before_the_block(spooled, monkeypatch):
    def denied(*_: object, **__: object) -> str:
        raise mlflow_runs.Denied("401: who are you")

    monkeypatch.setattr(mlflow_runs.Server, "create", denied)
    with (
        pytest.raises(TrackingRefused, match=r"MLflow at http://\*\*\*@127.0.0.1:9 refuses this process: 401") as caught,
        tracking.run("sft", "file:///root/sft/toy/1", {}, {}, "f"),
    ):
        pytest.fail("the block must not run")
    assert caught.value.exit_code == 1
    assert list(spooled.iterdir()) == []


def published_untold(mlflow, monkeypatch, tmp_path) -> tuple:
    """An artifact whose run heard nothing after the manifest was published, as when process or server are killed there."""
    questions = (tmp_path / "questions" / "toy" / "1").as_uri()
    testing.publish(testing.questions(3), Question, questions)
    arguments = (toy_stage, toy_stage.Config(), {"questions": [questions]}, f"{tmp_path}/toy_stage/toy/1")

    def killed(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as fault:
        fault.setattr(tracking.Tracked, "finish", killed)
        with pytest.raises(ZeroDivisionError):
            execute(*arguments)
    return arguments


def test_execute_skipped_makes_up_for_a_run_that_was_never_finished(mlflow, monkeypatch, tmp_path):
    arguments = published_untold(mlflow, monkeypatch, tmp_path)
    result = execute(*arguments)
    assert result.skipped
    made = mlflow.get_run(result.manifest.provenance.mlflow_run_id)
    assert made.info.status == "FINISHED"
    assert made.data.metrics.items() >= {"n_rows": 3, "dropped/toy": 1, "n_made": 3}.items()
    assert "manifest.json" in [each.path for each in mlflow.list_artifacts(made.info.run_id)]
    assert len(runs_of(mlflow)) == 2


def test_execute_skipped_finished_run_costs_one_request(mlflow, monkeypatch, tmp_path):
    execute(*published_untold(mlflow, monkeypatch, tmp_path))
    before = {each.info.run_id: each.info.end_time for each in runs_of(mlflow)}
    requests = []
    ask = run_status.is_finished
    monkeypatch.setattr(run_status, "is_finished", lambda run_id: requests.append(run_id) or ask(run_id))
    monkeypatch.setattr(mlflow_runs, "Server", unreachable)
    uri = (tmp_path / "questions" / "toy" / "1").as_uri()
    testing.publish(testing.questions(3), Question, uri)
    assert len(requests) == 1
    assert {each.info.run_id: each.info.end_time for each in runs_of(mlflow)} == before


def test_finish_published_shows_pages_and_tables_of_a_model_and_not_its_json(mlflow, tmp_path):
    names = ["model.safetensors", "config.json", "rollouts.table.json", "page.html"]
    uri = (tmp_path / "rl" / "toy" / "1").as_uri()
    made = testing.publish_files(dict.fromkeys(names, b"{}"), "rl", uri)
    mlflow.update_run(made.provenance.mlflow_run_id, status="RUNNING")
    testing.publish_files(dict.fromkeys(names, b"{}"), "rl", uri)
    shown = {each.path for each in mlflow.list_artifacts(made.provenance.mlflow_run_id)}
    assert shown - {"log.txt"} == {"manifest.json", "rollouts.table.json", "page.html"}
    assert mlflow.get_run(made.provenance.mlflow_run_id).info.status == "FINISHED"


@pytest.mark.parametrize("address", ["sqlite:///mlflow.db", "http://127.0.0.1:9"])
def test_finish_published_server_that_cannot_be_asked_plainly_counts_as_not_finished(address, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert not run_status.is_finished("0" * 32)


def unreachable(*_: object, **__: object) -> str:
    raise mlflow_runs.Away("connection refused")


def waited(ready) -> None:
    """Until another thread has done it; fails after a while."""
    until = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < until
        threading.Event().wait(0.05)


def test_run_address_that_is_no_url_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://127.0.0.1:5000")
    with pytest.raises(TrackingRefused, match="is 'htp://127.0.0.1:5000', which is not the URI of an MLflow server; write http://"):
        tracking.sync()


def test_require_server_none_named_says_how_to_start_one():
    with pytest.raises(TrackingRefused, match="MLFLOW_TRACKING_URI is not set; `make up` starts one"):
        tracking.require_server("the registry")
