import pytest

from stillhouse.execution.live_metrics import LIVE
from stillhouse.execution.tracked_run import Untracked


@pytest.fixture(autouse=True)
def sft():
    LIVE.clear("sft")
    yield
    LIVE.clear("")


def test_numbers_are_written_as_prometheus_reads_them():
    LIVE.progress(120, 400)
    LIVE.log({"loss": 1.25, "broken": float("nan")})
    LIVE.log({"loss": 1.0})
    assert LIVE.text().splitlines() == [
        "# TYPE stillhouse_progress_done gauge",
        "# TYPE stillhouse_progress_total gauge",
        "# TYPE stillhouse_metric gauge",
        'stillhouse_metric{stage="sft",name="loss"} 1.0',
        'stillhouse_progress_done{stage="sft"} 120',
        'stillhouse_progress_total{stage="sft"} 400',
    ]


def test_name_with_signs_stays_one_label():
    LIVE.log({'accuracy/a"b\n': 1.0})
    assert LIVE.text().splitlines()[-1] == 'stillhouse_metric{stage="sft",name="accuracy/a_b_"} 1.0'


def test_run_that_nobody_tracks_still_shows_its_numbers():
    run = Untracked()
    run.progress(3, 3, "rows")
    run.log({"verifier_failure_rate": 0.5}, 3)
    assert 'name="verifier_failure_rate"} 0.5' in LIVE.text()
    assert 'stillhouse_progress_done{stage="sft"} 3' in LIVE.text()
