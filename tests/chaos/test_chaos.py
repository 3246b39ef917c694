"""A few trials of each kind in every test run, many with ``make chaos``."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from mlflow import MlflowClient

from stillhouse.execution import tracking
from tests.chaos import long_outage, outages, writers
from tests.chaos.trials import ROWS, Tally
from tests.conftest import mlflow_serving
from tests.fakes.s3 import BUCKET, FakeS3, serving

TRIALS, SEED = int(os.environ.get("CHAOS_TRIALS", "0")), int(os.environ.get("CHAOS_SEED", "0"))
"""Trials of each kind; 0 stands for the short form."""
SHORT_SHAPES = ("paused-other", "all", "killed")
N_WRITERS, N_OUTAGES = TRIALS or len(SHORT_SHAPES), TRIALS or 2
pytestmark = pytest.mark.timeout(60 + 60 * N_WRITERS)


@pytest.fixture(scope="module")
def tallies() -> Iterator[dict[str, Tally]]:
    """What each test counted; the table is printed after the last one."""
    counted: dict[str, Tally] = {}
    yield counted
    for row in outages.total(counted):
        print("  ".join(f"{cell:<16}" for cell in row))


@pytest.fixture(scope="module", autouse=True)
def away(tmp_path_factory) -> Iterator[long_outage.Outage | None]:
    """A store that is away for ten minutes from now on, beside the first tests; none in the short form."""
    with ExitStack() as held:
        yield long_outage.Outage(tmp_path_factory.mktemp("away"), SEED, held) if TRIALS else None


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.s3)])
def root(request, tmp_path) -> str:
    return request.getfixturevalue("s3_root") if request.param == "s3" else tmp_path.as_uri()


def test_writers_paused_killed_and_many_lose_and_double_nothing(root, tallies):
    shapes = writers.SHAPES if TRIALS else SHORT_SHAPES
    tally = tallies[f"writers, {root.partition(':')[0]}"] = writers.run(root, N_WRITERS, SEED, shapes)
    assert (tally.trials, tally.harmed) == (N_WRITERS, 0), tally


def test_store_that_fails_at_random_costs_time_and_no_row(tallies, fake_s3, s3_of_the_fake):
    more = {**s3_of_the_fake, "STILLHOUSE_STORE_PATIENCE_S": "60"}
    tally = tallies["store"] = outages.run(
        f"s3://{BUCKET}/chaos", N_OUTAGES, SEED, outages.store_faults(fake_s3), more, fake_s3.faults.clear
    )
    assert (tally.trials, tally.harmed) == (N_OUTAGES, 0), tally


def test_tracking_server_that_hangs_stops_no_work_and_hears_everything_once(tallies, tmp_path, monkeypatch):
    with mlflow_serving(tmp_path) as (uri, process):
        more = {
            "MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": "chaos", "STILLHOUSE_SPOOL": str(tmp_path / "spool"),
            "STILLHOUSE_TRACKING_PATIENCE_S": "1",
        }  # fmt: skip
        tally = tallies["tracking"] = outages.run(tmp_path.as_uri(), N_OUTAGES, SEED, outages.paused_server(process.pid), more)
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        assert tracking.sync()[1] == 0
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("chaos")
        runs = client.search_runs([experiment.experiment_id])
        finished = [run for run in runs if run.info.status == "FINISHED"]
    assert (tally.trials, tally.harmed) == (N_OUTAGES, 0), tally
    assert len(finished) == N_OUTAGES
    assert {run.data.metrics["n_rows"] for run in finished} == {ROWS}
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}


@pytest.mark.timeout(long_outage.AWAY_S + long_outage.LONGEST_S)
def test_store_that_is_away_for_ten_minutes_costs_ten_minutes_and_no_row(tallies, away):
    if away is None:
        pytest.skip("ten minutes: make chaos")
    tally, seconds = away.finish()
    tallies["store, 10 min"] = tally
    print(f"the store was away for {long_outage.AWAY_S:.0f} s; the writer ended {seconds:.0f} s after it had gone")
    assert (tally.codes, tally.harmed) == ({0: 1}, 0), tally


def test_disk_that_fills_up_costs_a_try_and_no_row(tallies, tmp_path):
    try:
        with outages.small_disk(tmp_path):
            pass
    except OSError as error:
        pytest.skip(f"no small disk: {error}")
    tally = tallies["disk"] = outages.run_on_small_disks(N_OUTAGES, SEED, tmp_path / "log")
    assert (tally.trials, tally.harmed) == (N_OUTAGES, 0), (tally, (tmp_path / "log").read_text()[-2000:])


@pytest.fixture
def fake_s3() -> Iterator[FakeS3]:
    with serving() as server:
        yield server


@pytest.fixture
def s3_of_the_fake(fake_s3, monkeypatch) -> dict[str, str]:
    """What a process needs to use the fake server, also set for this one."""
    from stillhouse.artifacts import s3

    named = {"AWS_ENDPOINT_URL": fake_s3.url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    s3._s3.cache_clear()
    return named
