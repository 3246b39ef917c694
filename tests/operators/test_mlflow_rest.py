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


@pytest.mark.parametrize(("try_number", "opened"), [(1, None), (3, None), (4, "")])
def test_run_that_cannot_be_opened_stops_the_stages_for_a_few_tries_alone(monkeypatch, try_number, opened):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    ti, dag_run = SimpleNamespace(try_number=try_number), SimpleNamespace(dag_id="retrain", run_id="manual")
    monkeypatch.setattr(parent, "get_current_context", lambda: {"ti": ti, "dag_run": dag_run, "params": {}})
    if opened is None:
        with pytest.raises(Outage, match="did not answer"):
            parent._open()
    else:
        assert parent._open() == opened
