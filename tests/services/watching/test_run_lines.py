import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stillhouse.watching.airflow_rest import TaskState
from stillhouse.watching.run_lines import Watch
from stillhouse.watching.tracked_progress import Progress, TrackedProgress


class Scripted:
    """An Airflow whose tasks are told."""

    def __init__(self, *tasks: TaskState) -> None:
        self.given = tasks

    def order(self) -> list[str]:
        return ["open_run", "questions", "sft-anneal", "report-rl", "close_run"]

    def tasks(self, run_id: str) -> list[TaskState]:
        return list(self.given)


@pytest.fixture
def mlflow():
    """An MLflow that answers as told: a list of the runs below the parent, or a status code; a client of it."""
    told = {"runs": [], "status": 200, "asked": [], "experiments": ["7"]}

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/experiments/search"):
                return self._say({"experiments": [{"experiment_id": name} for name in told["experiments"]]})
            told["asked"].append(body)
            parent = "airflow.run_id" in body["filter"]
            above = [{"info": {"run_id": "above", "experiment_id": "7"}}] if "7" in body["experiment_ids"] else []
            return self._say({"runs": above if parent else told["runs"]})

        def _say(self, answer):
            text = json.dumps(answer).encode()
            self.send_response(told["status"])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *given):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield TrackedProgress(f"http://127.0.0.1:{server.server_port}", "laptop"), told
    server.shutdown()
    server.server_close()
    thread.join()


def tracked(uri: str, done: float, total: float) -> dict:
    metrics = [{"key": "progress/done", "value": done}, {"key": "progress/total", "value": total}]
    return {"info": {"run_id": uri}, "data": {"tags": [{"key": "uri", "value": uri}], "metrics": metrics}}


def task(name: str, state: str, tries: int = 1) -> TaskState:
    return TaskState(name, state, 1.0, tries)


def test_watch_lines_are_in_path_order_without_the_tracking_tasks(mlflow):
    tracked_by, _ = mlflow
    airflow = Scripted(
        task("report-rl", "waiting"), task("close_run", "success"), task("open_run", "success"), task("questions", "success")
    )
    assert [line.task.name for line in Watch(airflow, tracked_by, "r1").lines()] == ["questions", "report-rl"]


def test_watch_tracking_task_that_failed_is_shown(mlflow):
    tracked_by, _ = mlflow
    airflow = Scripted(task("open_run", "failed"), task("questions", "upstream_failed"))
    assert [line.task.name for line in Watch(airflow, tracked_by, "r1").lines()] == ["open_run", "questions"]


def test_watch_running_stage_has_its_progress_by_the_artifacts_uri(mlflow):
    tracked_by, told = mlflow
    told["runs"] = [tracked("file:///s/sft/laptop-anneal/demo", 30, 120), tracked("file:///s/questions/laptop/demo", 5, 0)]
    lines = Watch(Scripted(task("questions", "running"), task("sft-anneal", "running")), tracked_by, "r1").lines()
    assert [line.progress for line in lines] == [Progress(5, 0), Progress(30, 120)]
    assert [line.progress.share for line in lines] == [0.0, 0.25]
    assert "'r1'" in told["asked"][0]["filter"]
    assert "'above'" in told["asked"][1]["filter"]


def test_watch_rate_is_measured_from_the_first_step_and_not_from_the_start(mlflow):
    tracked_by, told = mlflow
    watch = Watch(Scripted(task("sft-anneal", "running")), tracked_by, "r1")
    for done, has_rate in ((0, False), (1, False), (28, True)):
        told["runs"] = [tracked("file:///s/sft/laptop-anneal/demo", done, 1000)]
        [line] = watch.lines()
        assert (line.progress.done, line.progress.eta_s is not None) == (done, has_rate)


def test_watch_newer_try_hides_the_run_of_one_that_was_cut_off(mlflow):
    tracked_by, told = mlflow
    told["runs"] = [tracked("file:///s/sft/laptop-anneal/demo", 9, 10), tracked("file:///s/sft/laptop-anneal/demo", 1, 10)]
    [line] = Watch(Scripted(task("sft-anneal", "running")), tracked_by, "r1").lines()
    assert line.progress == Progress(9, 10)


def test_watch_nothing_running_asks_mlflow_nothing(mlflow):
    tracked_by, told = mlflow
    Watch(Scripted(task("questions", "success")), tracked_by, "r1").lines()
    assert told["asked"] == []


def test_watch_mlflow_that_refuses_costs_the_bars_only(mlflow):
    tracked_by, told = mlflow
    told["status"] = 500
    [line] = Watch(Scripted(task("questions", "running")), tracked_by, "r1").lines()
    assert line.progress is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:2", "", "sqlite:///runs.db"])
def test_watch_mlflow_that_is_not_there_costs_the_bars_only(url):
    [line] = Watch(Scripted(task("questions", "running")), TrackedProgress(url, "laptop"), "r1").lines()
    assert line.progress is None


def test_progress_beyond_its_total_is_whole():
    assert Progress(7, 5).share == 1.0


def test_watch_shards_of_a_stage_count_together(mlflow):
    tracked_by, told = mlflow
    told["runs"] = [tracked(f"s3://b/verified/laptop/demo/shards/{n}-of-2", 10, 50) for n in (0, 1)]
    shards = [TaskState("verified", "running", 1.0, 1, n) for n in (0, 1)]
    airflow = Scripted(*shards)
    airflow.order = lambda: ["verified"]
    [line] = Watch(airflow, tracked_by, "r1").lines()
    assert (line.progress.done, line.progress.total, line.n_instances) == (20, 100, 2)


def test_watch_knows_the_page_of_the_runs_own_run(mlflow):
    tracked_by, _ = mlflow
    Watch(Scripted(task("questions", "running")), tracked_by, "r1").lines()
    assert tracked_by.page.endswith("/#/experiments/7/runs/above?workflowType=machine_learning")


def test_watch_finds_the_run_in_an_experiment_that_was_made_later(mlflow):
    tracked_by, told = mlflow
    told["experiments"] = ["0"]
    watch = Watch(Scripted(task("questions", "running")), tracked_by, "r1")
    watch.lines()
    assert tracked_by.page == ""
    told["experiments"] = ["0", "7"]
    watch.lines()
    assert tracked_by.page.endswith("/#/experiments/7/runs/above?workflowType=machine_learning")
