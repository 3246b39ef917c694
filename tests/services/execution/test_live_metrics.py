import urllib.error
import urllib.request

import pytest

from stillhouse.execution import live_metrics
from stillhouse.execution.live_metrics import LIVE
from tests.conftest import free_port

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
"""What Prometheus asks for first."""


def test_stage_answers_while_it_runs_and_no_longer(monkeypatch):
    port = free_port()
    monkeypatch.setenv("STILLHOUSE_METRICS_PORT", str(port))
    with live_metrics.served("verified"):
        LIVE.progress(1, 4)
        for accepted, version in (("*/*", "text/plain; version="), (OPEN_METRICS, "application/openmetrics-text; version=")):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accepted})
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.headers["Content-Type"].startswith(version)
                assert 'stillhouse_progress_total{stage="verified"} 4' in answer.read().decode()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_stage_whose_port_is_in_use_runs_without(monkeypatch, capsys):
    monkeypatch.setenv("STILLHOUSE_METRICS_PORT", str(free_port()))
    with live_metrics.served("first"), live_metrics.served("second"):
        assert LIVE.stage == "second"
    assert "Address already in use; the stage runs without" in capsys.readouterr().err
