import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from operators import rest


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
    rest.call("experiments/get-by-name")
    assert mlflow["Authorization"] == "Basic YWRtaW46aHVudGVyMg=="


def test_rest_sends_no_login_without_a_user(mlflow, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    rest.call("experiments/get-by-name")
    assert "Authorization" not in mlflow
