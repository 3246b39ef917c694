import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from laptop.airflow import Task
from laptop.progress import Progress, Watch, error_in, log_of
from laptop.settings import Laptop


class Scripted:
    """An Airflow whose tasks are told."""

    def __init__(self, *tasks: Task) -> None:
        self.given = tasks

    def order(self) -> list[str]:
        return ["open_run", "questions", "sft-anneal", "report-rl", "close_run"]

    def tasks(self, run_id: str) -> list[Task]:
        return list(self.given)


@pytest.fixture
def mlflow(machine):
    """An MLflow that answers as told: a list of the runs below the parent, or a status code; the laptop that uses it."""
    told = {"runs": [], "status": 200, "asked": []}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self._say({"experiment": {"experiment_id": "7"}})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told["asked"].append(body)
            parent = "airflow.run_id" in body["filter"]
            self._say({"runs": [{"info": {"run_id": "above"}}] if parent else told["runs"]})

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
    yield Laptop("file", machine.home, {**machine.ports, "MLFLOW_PORT": server.server_port}), told
    server.shutdown()
    server.server_close()
    thread.join()


def tracked(uri: str, done: float, total: float) -> dict:
    metrics = [{"key": "progress/done", "value": done}, {"key": "progress/total", "value": total}]
    return {"data": {"tags": [{"key": "uri", "value": uri}], "metrics": metrics}}


def task(name: str, state: str, tries: int = 1) -> Task:
    return Task(name, state, 1.0, tries)


def test_watch_lines_are_in_path_order_without_the_tracking_tasks(mlflow):
    laptop, _ = mlflow
    airflow = Scripted(
        task("report-rl", "waiting"), task("close_run", "success"), task("open_run", "success"), task("questions", "success")
    )
    assert [line.task.name for line in Watch(laptop, airflow, "r1").lines()] == ["questions", "report-rl"]


def test_watch_tracking_task_that_failed_is_shown(mlflow):
    laptop, _ = mlflow
    airflow = Scripted(task("open_run", "failed"), task("questions", "upstream_failed"))
    assert [line.task.name for line in Watch(laptop, airflow, "r1").lines()] == ["open_run", "questions"]


def test_watch_running_stage_has_its_progress_by_the_artifacts_uri(mlflow):
    laptop, told = mlflow
    told["runs"] = [tracked("file:///s/sft/laptop-anneal/demo", 30, 120), tracked("file:///s/questions/laptop/demo", 5, 0)]
    lines = Watch(laptop, Scripted(task("questions", "running"), task("sft-anneal", "running")), "r1").lines()
    assert [line.progress for line in lines] == [Progress(5, 0), Progress(30, 120)]
    assert [line.progress.share for line in lines] == [0.0, 0.25]
    assert "'r1'" in told["asked"][0]["filter"]
    assert "'above'" in told["asked"][1]["filter"]


def test_watch_newer_try_hides_the_run_of_one_that_was_cut_off(mlflow):
    laptop, told = mlflow
    told["runs"] = [tracked("file:///s/sft/laptop-anneal/demo", 9, 10), tracked("file:///s/sft/laptop-anneal/demo", 1, 10)]
    [line] = Watch(laptop, Scripted(task("sft-anneal", "running")), "r1").lines()
    assert line.progress == Progress(9, 10)


def test_watch_nothing_running_asks_mlflow_nothing(mlflow):
    laptop, told = mlflow
    Watch(laptop, Scripted(task("questions", "success")), "r1").lines()
    assert told["asked"] == []


def test_watch_mlflow_that_refuses_costs_the_bars_only(mlflow):
    laptop, told = mlflow
    told["status"] = 500
    [line] = Watch(laptop, Scripted(task("questions", "running")), "r1").lines()
    assert line.progress is None


def test_watch_mlflow_that_is_not_there_costs_the_bars_only(machine):
    [line] = Watch(machine, Scripted(task("questions", "running")), "r1").lines()
    assert line.progress is None


def test_progress_beyond_its_total_is_whole():
    assert Progress(7, 5).share == 1.0


def test_log_of_names_the_last_try(machine):
    log = log_of(machine, "retrain", "demo-1", task("sft-1", "failed", tries=2))
    assert log == machine.airflow_home / "logs" / "dag_id=retrain" / "run_id=demo-1" / "task_id=sft-1" / "attempt=2.log"


def write(tmp_path, *entries):
    log = tmp_path / "log"
    log.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in entries))
    return log


def test_error_in_is_the_raised_exception_on_one_line_not_its_cause(tmp_path):
    detail = [{"exc_value": "no program stillhouse:\n  point to it"}, {"exc_value": "[Errno 2] No such file"}]
    log = write(tmp_path, {"event": "started"}, {"event": "Task failed", "error_detail": detail}, {"event": "after"})
    assert error_in(log) == "no program stillhouse: point to it"


def test_error_in_without_exception_is_the_last_event(tmp_path):
    assert error_in(write(tmp_path, {"event": "started"}, {"event": "killed"}, {"level": "info"})) == "killed"


@pytest.mark.parametrize("odd", ["not json", "42", '["a"]', "null", '{"event": "cut o', ""])
def test_error_in_steps_over_lines_of_another_form(tmp_path, odd):
    assert error_in(write(tmp_path, {"event": "started"}, odd)) == "started"


def test_error_in_of_no_log_says_so(tmp_path):
    assert error_in(tmp_path / "gone") == "no log was written"
