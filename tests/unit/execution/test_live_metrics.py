import pytest
from prometheus_client import CollectorRegistry, generate_latest

from stillhouse.execution.live_metrics import LIVE
from stillhouse.execution.tracked_run import Untracked


@pytest.fixture
def text():
    """What Prometheus reads of the stage ``sft``, without its comments: call when the numbers are there."""
    registry = CollectorRegistry()
    registry.register(LIVE)
    LIVE.clear("sft")
    yield lambda: generate_latest(registry).decode()
    LIVE.clear("")


def test_numbers_are_gauges_with_their_newest_value(text):
    LIVE.progress(120, 400)
    LIVE.log({"loss": 1.25, "broken": float("nan")})
    LIVE.log({"loss": 1.0})
    lines = text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'stillhouse_progress_done{stage="sft"} 120.0',
        'stillhouse_progress_total{stage="sft"} 400.0',
        'stillhouse_metric{name="loss",stage="sft"} 1.0',
    ]
    assert [line for line in lines if line.startswith("# TYPE")] == [
        "# TYPE stillhouse_progress_done gauge",
        "# TYPE stillhouse_progress_total gauge",
        "# TYPE stillhouse_metric gauge",
    ]


def test_stage_without_numbers_shows_none(text):
    assert text() == ""


def test_name_with_signs_stays_one_label(text):
    LIVE.log({'accuracy/a"b\n': 1.0})
    assert text().splitlines()[-1] == 'stillhouse_metric{name="accuracy/a_b_",stage="sft"} 1.0'


def test_run_that_nobody_tracks_still_shows_its_numbers(text):
    run = Untracked()
    run.progress(3, 3, "rows")
    run.log({"verifier_failure_rate": 0.5}, 3)
    assert 'stillhouse_metric{name="verifier_failure_rate",stage="sft"} 0.5' in text()
    assert 'stillhouse_progress_done{stage="sft"} 3' in text()
