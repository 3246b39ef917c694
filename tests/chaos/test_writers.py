"""A few trials of ``writers.py`` in every test run, many with ``make chaos``."""

import os

import pytest

from tests.chaos import writers

TRIALS, SEED = int(os.environ.get("CHAOS_TRIALS", "3")), int(os.environ.get("CHAOS_SEED", "0"))
pytestmark = pytest.mark.timeout(60 + 60 * TRIALS)


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.s3)])
def root(request, tmp_path) -> str:
    return request.getfixturevalue("s3_root") if request.param == "s3" else tmp_path.as_uri()


def test_writers_paused_killed_and_many_lose_and_double_nothing(root):
    shapes = ("paused-other", "all", "killed") if TRIALS == 3 else writers.SHAPES
    tally = writers.run(root, TRIALS, SEED, shapes)
    print(tally)
    assert (tally.trials, tally.harmed) == (TRIALS, 0), tally
