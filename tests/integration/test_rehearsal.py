"""A paper's profile in miniature, by its own DAG: ``make rehearse PROFILE=deepdistill-32b``."""

import os
import subprocess

import pytest

from stillhouse.artifacts import manifest as manifests
from tests.integration.house import ROOT, STAGES

PROFILE = "deepdistill-32b"
STAGES_OF_IT = ("questions", "responses", "verified", "screened", "graded", "selected", "sft", "report")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not (STAGES / "stillhouse").exists(), reason="needs .venv: make venv"),
]


def test_rehearsal_of_deepdistill_runs_its_own_dag_to_the_end(tmp_path):
    environment = os.environ | {"STILLHOUSE_HOME": str(tmp_path)}
    argv = [str(STAGES / "python"), "-m", "laptop", "rehearse", "--profile", PROFILE]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "failed" in done.stdout) == (0, False), done.stdout[-3000:] + done.stderr[-2000:]
    store = tmp_path / "file" / "rehearsals" / PROFILE / "store"
    assert {path.name for path in store.iterdir()} >= set(STAGES_OF_IT)
    responses = manifests.load((store / "responses" / f"rehearse-{PROFILE}" / "1").as_uri())
    assert len(responses.shards) == 2
    assert responses.rows == manifests.load((store / "questions" / f"rehearse-{PROFILE}" / "1").as_uri()).rows * 12
    reports = list((store / "report").glob(f"rehearse-{PROFILE}-*/1/report.html"))
    assert len(reports) == 6, "two checkpoints on three benchmarks"
