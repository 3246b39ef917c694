"""The end of a DAG run against a real MLflow: its parent run is what people compare."""

import json
import os
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from stillhouse.__main__ import app
from stillhouse.errors import BadConfig
from stillhouse.reporting.recording import record_run
from stillhouse.reporting.run_record import DagRun
from tests.unit.reporting import nights

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def parent(mlflow, monkeypatch):
    """A running run as a DAG opens it, with its plan as the description."""
    experiment = mlflow.create_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])
    run = mlflow.create_run(experiment, tags={"mlflow.note.content": "| task | rows |\n| --- | --- |"})
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    return run.info.run_id


def names_of(mlflow, run_id) -> set[str]:
    return {file.path for file in mlflow.list_artifacts(run_id)}


def test_recorded_run_has_params_metrics_tags_inputs_and_outputs(mlflow, parent, tmp_path):
    written = record_run(str(tmp_path), nights.publish_night(tmp_path, "v1"))
    run = mlflow.get_run(parent)
    assert run.info.status == "RUNNING"
    assert (run.data.params["pin/student"], run.data.params["protocol/arithmetic"]) == ("hf://org/student@c0ffee f00d", "p1")
    assert (run.data.metrics["pass_at_1/arithmetic/round_1/sft/mean"], run.data.metrics["rows/selected"]) == (0.6, 80.0)
    assert run.data.metrics["cost/gpu_hours"] == pytest.approx(0.3)
    assert (run.data.tags["decision"], run.data.tags["champion.version"], run.data.tags["reused"]) == ("champion", "4", "nothing")
    assert {one.dataset.name for one in run.inputs.dataset_inputs} == {"questions", "responses-large", "selected"}
    models = [mlflow.get_logged_model(output.model_id) for output in run.outputs.model_outputs]
    assert [(model.name, model.status.name, model.tags["uri"]) for model in models] == [
        ("sft-1", "READY", f"{tmp_path.as_uri()}/sft/toy-1/v1")
    ]  # fmt: skip
    assert names_of(mlflow, parent) == {"run.json", "run.html", "leaderboard.html"}
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("8 artifacts were made, in 0.20 hours of tasks.")
    assert note.endswith("\n\n## Plan\n\n| task | rows |\n| --- | --- |")
    assert written.n_runs == 1


def test_recorded_again_is_one_description_and_one_model(mlflow, parent, tmp_path):
    run = nights.publish_night(tmp_path, "v1")
    record_run(str(tmp_path), run)
    once = mlflow.get_run(parent)
    record_run(str(tmp_path), run)
    twice = mlflow.get_run(parent)
    assert once.data.tags["mlflow.note.content"] == twice.data.tags["mlflow.note.content"]
    models = mlflow.search_logged_models([once.info.experiment_id])
    assert len(models) == 1
    assert len({output.model_id for output in twice.outputs.model_outputs}) == 1


def test_recorded_run_links_to_its_page_in_mlflow(mlflow, parent, tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_MLFLOW_URL", "https://mlflow.example.org/")
    record_run(str(tmp_path), nights.publish_night(tmp_path, "v1"))
    record = json.loads((tmp_path / "runs/toy/v1/run.json").read_bytes())
    experiment = mlflow.get_run(parent).info.experiment_id
    assert record["mlflow"] == f"https://mlflow.example.org/#/experiments/{experiment}/runs/{parent}?workflowType=machine_learning"


def test_run_that_found_everything_made_says_so_and_keeps_the_record_of_the_one_that_made_it(mlflow, parent, tmp_path, monkeypatch):
    run = nights.publish_night(tmp_path, "v1")
    record_run(str(tmp_path), run)
    first = (tmp_path / "runs/toy/v1/run.json").read_bytes()
    again = mlflow.create_run(mlflow.get_run(parent).info.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", again)
    record_run(str(tmp_path), run.model_copy(update={"started": nights.START + timedelta(hours=1)}))
    assert (tmp_path / "runs/toy/v1/run.json").read_bytes() == first
    data = mlflow.get_run(again).data
    assert (data.tags["reused"], data.metrics["reused/share"], data.metrics["cost/task_hours"]) == ("all", 1.0, 0.0)
    assert "toy-1/v1" in data.tags["reused_from"]
    said = data.tags["mlflow.note.content"]
    assert said.startswith("**Nothing new**: all 8 artifacts were already there, in version [v1](http://")
    assert f"/runs/{parent}?" in said


def test_recorded_run_whose_page_is_damaged_has_everything_else(mlflow, parent, tmp_path, capsys):
    run = nights.publish_night(tmp_path, "v1")
    (tmp_path / "registry/toy/v1/report.html").write_bytes(b"cut")
    record_run(str(tmp_path), run)
    assert names_of(mlflow, parent) == {"run.json", "leaderboard.html"}
    assert "the run's page is left out" in capsys.readouterr().err


def test_recorded_run_without_mlflow_has_its_record_and_leaderboard(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_RUN_ID", "r1")
    record_run(str(tmp_path), nights.publish_night(tmp_path, "v1"))
    assert json.loads((tmp_path / "runs/toy/v1/run.json").read_bytes())["mlflow"] == ""
    assert "Leaderboard of toy" in (tmp_path / "leaderboard/toy.html").read_text(encoding="utf-8")


def test_recorded_run_while_mlflow_is_away_loses_nothing_in_the_store(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_RUN_ID", "r1")
    monkeypatch.setenv("STILLHOUSE_TRACKING_PATIENCE_S", "0.1")
    monkeypatch.setenv("STILLHOUSE_SPOOL", str(tmp_path / "spool"))
    record_run(str(tmp_path / "store"), nights.publish_night(tmp_path / "store", "v1"))
    assert (tmp_path / "store/leaderboard/toy.html").is_file()
    assert "MLflow does not answer" in capsys.readouterr().err


@pytest.mark.s3
def test_recorded_run_on_s3_has_its_leaderboard_there(s3_root, monkeypatch):
    from stillhouse.artifacts import store

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    written = record_run(s3_root, nights.publish_night(s3_root, "v1"))
    assert written.uri == f"{s3_root}/leaderboard/toy.html"
    page = (store.store_of(written.uri).read(written.uri) or b"").decode()
    assert "Leaderboard of toy" in page
    assert 'href="../registry/toy/v1/report.html"' in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "--run: the text: Invalid JSON"),
        ("{}", "--run: profile: Field required"),
        ('{"profile": "toy", "run": "v1", "tasks": {"a": {"uri": "/x", "gpu": 1}}}', "--run: tasks.a.gpu: Extra inputs"),
    ],
)
def test_run_in_wrong_json_names_the_field(text, words):
    with pytest.raises(BadConfig, match=words):
        DagRun.parse(text)


def test_leaderboard_command_prints_each_page_and_what_could_not_be_read(tmp_path):
    nights.publish_night(tmp_path, "v1")
    (tmp_path / "report/toy-base/v1/manifest.json").write_text("{")
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"toy: 1 run · {tmp_path.as_uri()}/leaderboard/toy.html\n  could not be read: ")
