import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from operators import mlflow_rest, parent
from operators.retries import Outage
from tests.conftest import free_port


@pytest.fixture
def mlflow(monkeypatch):
    """A server that keeps the headers of its one request."""
    seen = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.update(self.headers)
            data = json.dumps({"experiment": {"experiment_id": "7"}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        yield seen
        thread.join(5)


def test_rest_logs_in_where_mlflow_asks_for_it(mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    mlflow_rest.call("experiments/get-by-name")
    assert mlflow["Authorization"] == "Basic YWRtaW46aHVudGVyMg=="


def test_rest_sends_no_login_without_a_user(mlflow, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    mlflow_rest.call("experiments/get-by-name")
    assert "Authorization" not in mlflow


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AirflowFailException), (404, AirflowFailException), (429, Outage), (503, Outage)]
)
def test_rest_refusal_is_final_and_a_server_that_fails_is_not(monkeypatch, status, kind):
    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(kind, match=rf"refused experiments/get-by-name \({status}\)"):
            mlflow_rest.call("experiments/get-by-name")
        thread.join(5)


class Experiments(BaseHTTPRequestHandler):
    """One experiment, created or found, and its tags."""

    tags: dict[str, str] | None = None

    def do_GET(self) -> None:
        listed = [{"key": key, "value": value} for key, value in (type(self).tags or {}).items()]
        self._say(200, {"experiment": {"experiment_id": "7", "tags": listed}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("set-experiment-tag"):
            assert type(self).tags is not None
            type(self).tags[body["key"]] = body["value"]
            self._say(200, {})
        elif type(self).tags is None:
            type(self).tags = {tag["key"]: tag["value"] for tag in body["tags"]}
            self._say(200, {"experiment_id": "7"})
        else:
            self._say(400, {"error_code": "RESOURCE_ALREADY_EXISTS"})

    def _say(self, status, answer) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def experiments(monkeypatch):
    handler = type("Handler", (Experiments,), {"tags": None})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()


def test_experiment_opens_in_the_view_of_trained_models_with_a_description(experiments):
    assert mlflow_rest.experiment("toy", "the whole path") == "7"
    assert experiments.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiments.tags["mlflow.note.content"] == "the whole path"


def test_experiment_description_follows_unless_a_person_wrote_it(experiments):
    mlflow_rest.experiment("toy", "first")
    mlflow_rest.experiment("toy", "second")
    assert experiments.tags["mlflow.note.content"] == "second"
    experiments.tags["mlflow.note.content"] = "a person's words"
    mlflow_rest.experiment("toy", "third")
    assert experiments.tags["mlflow.note.content"] == "a person's words"


def test_experiment_of_an_earlier_release_gets_its_kind_and_keeps_one_that_a_person_chose(experiments):
    experiments.tags = {}
    mlflow_rest.experiment("toy", "first")
    assert experiments.tags["mlflow.experimentKind"] == "custom_model_development"
    experiments.tags["mlflow.experimentKind"] = "genai_development"
    mlflow_rest.experiment("toy", "second")
    assert (experiments.tags["mlflow.experimentKind"], experiments.tags["mlflow.note.content"]) == ("genai_development", "second")


@pytest.mark.parametrize(("try_number", "opened"), [(1, None), (3, None), (4, "")])
def test_run_that_cannot_be_opened_stops_the_stages_for_a_few_tries_alone(monkeypatch, try_number, opened):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    ti, dag_run = SimpleNamespace(try_number=try_number), SimpleNamespace(dag_id="retrain", run_id="manual", conf={})
    context = {"ti": ti, "dag_run": dag_run, "dag": SimpleNamespace(dag_id="retrain", params={}), "params": {}}
    monkeypatch.setattr(parent, "get_current_context", lambda: context)
    if opened is None:
        with pytest.raises(Outage, match="did not answer"):
            parent._open()
    else:
        assert parent._open() == opened
