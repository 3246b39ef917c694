import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from operators import alerts


def context(error=None):
    task = SimpleNamespace(dag_id="retrain", task_id="sft-1", try_number=2, log_url="http://airflow/log")
    return {"ti": task, "dag_run": SimpleNamespace(run_id="nightly-1"), "exception": error or ValueError("no\nmemory")}


@pytest.fixture
def webhook(monkeypatch):
    """A server that keeps what is posted to it, and answers as told."""
    received, answer = [], {"status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STILLHOUSE_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/secret")
    yield received, answer
    server.shutdown()
    server.server_close()


def test_failed_logs_task_run_and_reason_on_one_line(caplog, monkeypatch):
    monkeypatch.delenv("STILLHOUSE_ALERT_WEBHOOK", raising=False)
    with caplog.at_level(logging.ERROR):
        alerts.failed(context())
    (record,) = caplog.records
    assert record.getMessage() == "stillhouse: sft-1 failed in retrain nightly-1 (try 2): no memory http://airflow/log"


def test_failed_posts_text_and_facts_to_the_webhook(webhook):
    received, _ = webhook
    alerts.failed(context())
    (message,) = received
    assert message.pop("text").startswith("stillhouse: sft-1 failed in retrain")
    assert message == {
        "dag": "retrain", "run": "nightly-1", "task": "sft-1", "log": "http://airflow/log", "error": "no memory"
    }  # fmt: skip


def test_failed_webhook_that_refuses_is_logged_without_its_address(webhook, caplog):
    webhook[1]["status"] = 500
    with caplog.at_level(logging.ERROR):
        alerts.failed(context())
    assert "could not be posted" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/secret", "nonsense"])
def test_failed_webhook_that_is_not_there_raises_nothing(monkeypatch, caplog, url):
    monkeypatch.setenv("STILLHOUSE_ALERT_WEBHOOK", url)
    alerts.failed(context())
    assert "could not be posted" in caplog.text


def test_describe_without_an_exception_says_so():
    assert alerts.describe(context() | {"exception": None})["error"] == "no reason given"
    assert len(alerts.describe(context(ValueError("x" * 5000)))["error"]) == 1000


def test_reaped_names_what_was_deleted_in_the_log_and_to_the_webhook(webhook, caplog):
    with caplog.at_level(logging.WARNING):
        alerts.reaped(["pod stage-sft-1", "job stage-rl-2"])
    text = "stillhouse: the reaper deleted 2 objects that no living task owned: pod stage-sft-1, job stage-rl-2"
    assert webhook[0] == [{"text": text, "dag": "reaper"}]
    assert text in caplog.text
