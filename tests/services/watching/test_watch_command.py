import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from stillhouse.__main__ import app
from stillhouse.errors import BadConfig, ServiceFailed
from stillhouse.watching import following

LOG = {"content": [{"event": "failed", "error_detail": [{"exc_value": "no rows \x1b[2J with key sk-abcdefgh"}]}]}


@pytest.fixture
def airflow(monkeypatch):
    """An Airflow of one run, ``r/1`` of the DAG ``laptop``; ``states`` are the answers in turn, of the run and of its one task."""
    told = {"states": [("running", "running"), ("success", "success")], "headers": []}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            told["headers"].append(self.headers.get("Authorization"))
            path = self.path.partition("?")[0].removeprefix("/api/v2/dags/laptop/")
            run, task = told["states"][0]
            if path.endswith("/taskInstances"):
                told["states"] = told["states"][1:] or told["states"]
            instance = {"task_id": "questions", "state": task, "duration": 61.0, "try_number": 1}
            answers = {
                "dagRuns": {"dag_runs": [{"dag_run_id": "r/1"}]},
                "tasks": {"tasks": [{"task_id": "questions", "downstream_task_ids": []}]},
                "dagRuns/r/1": {"state": run},
                "dagRuns/r/1/taskInstances": {"task_instances": [instance]},
                "dagRuns/r/1/taskInstances/questions/logs/1": LOG,
            }
            self._say(answers.get(path, {"detail": "run not found"}), 200 if path in answers else 404)

        def do_POST(self):
            login = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            right = login == {"username": "ann", "password": "right-password"}
            self._say({"access_token": "t"} if right else {"detail": "Invalid credentials"}, 200 if right else 401)

        def _say(self, answer, status):
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *parts):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    told["url"] = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(following, "ASK_EVERY_S", 0)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("TOKEN", "USER", "PASSWORD"):
        monkeypatch.delenv(f"STILLHOUSE_AIRFLOW_{name}", raising=False)
    monkeypatch.setenv("STILLHOUSE_AIRFLOW_URL", told["url"])
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def watch(*arguments: str):
    return CliRunner().invoke(app, ["watch", *arguments])


@pytest.mark.parametrize(
    "run", ["laptop", "laptop/r/1", "{url}/dags/laptop/runs/r%2F1", "{url}/dags/laptop/runs/r%2F1/tasks/questions"]
)
def test_watch_run_that_succeeds_ends_with_0(airflow, run):
    result = watch(run.replace("{url}", airflow["url"]))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"run r/1 · {airflow['url']}/dags/laptop/runs/r/1", "questions          running", "questions          done in 1:01",
        "run success",
    ]  # fmt: skip


def test_watch_run_that_fails_ends_with_1_and_the_stages_last_words(airflow):
    airflow["states"] = [("failed", "failed")]
    result = watch("laptop")
    assert result.exit_code == 1
    assert "questions failed: no rows \\x1b[2J with key sk-***" in result.output
    assert "\x1b" not in result.output


def test_watch_logs_in_with_user_and_password_and_with_a_token(airflow, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_AIRFLOW_USER", "ann")
    monkeypatch.setenv("STILLHOUSE_AIRFLOW_PASSWORD", "right-password")
    assert watch("laptop").exit_code == 0
    assert set(airflow["headers"]) == {"Bearer t"}
    airflow["headers"].clear()
    monkeypatch.delenv("STILLHOUSE_AIRFLOW_USER")
    monkeypatch.setenv("STILLHOUSE_AIRFLOW_TOKEN", "own-token")
    assert watch("laptop").exit_code == 0
    assert set(airflow["headers"]) == {"Bearer own-token"}


def test_watch_wrong_password_is_one_line(airflow, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_AIRFLOW_USER", "ann")
    monkeypatch.setenv("STILLHOUSE_AIRFLOW_PASSWORD", "wrong-password")
    error = watch("laptop").exception
    assert isinstance(error, ServiceFailed)
    assert "401): Invalid credentials; check the user and password" in str(error)


def test_watch_run_that_does_not_exist_is_refused(airflow):
    error = watch("laptop/other").exception
    assert isinstance(error, ServiceFailed)
    assert "(404): run not found" in str(error)


def test_watch_without_a_server_says_what_to_set(airflow, monkeypatch):
    monkeypatch.delenv("STILLHOUSE_AIRFLOW_URL")
    error = watch("laptop").exception
    assert isinstance(error, BadConfig)
    assert "Set STILLHOUSE_AIRFLOW_URL" in str(error)


def test_watch_address_of_no_run_is_refused():
    error = watch("http://airflow/home").exception
    assert isinstance(error, BadConfig)
    assert "copy …/dags/DAG/runs/RUN_ID" in str(error)
