"""What the tests of stages share, on both tiers: an environment of their own, and one very small model."""

import os
from pathlib import Path

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.stages import sft
from stillhouse.training.config import FromScratch
from stillhouse.vocabulary.rows import Selected
from tests.conftest import OFFLINE
from tests.unit import toy_stage

ENVIRONMENT = OFFLINE | {"OMP_NUM_THREADS": "1", "STILLHOUSE_STORE_PATIENCE_S": "2", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ.update(ENVIRONMENT)
TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No unit test talks to a server or a store that the caller's shell names."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "AWS_", "STILLHOUSE_"))]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def fresh_toy_stage():
    """The toy stage has run nothing, and has nothing to do before its end."""
    toy_stage.runs.clear()
    toy_stage.before_the_end.clear()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A very small model after 40 steps on twelve additions: it writes both tags, and sums that are mostly wrong."""
    import torch

    torch.set_num_threads(1)
    scratch = tmp_path_factory.mktemp("checkpoint")
    tables.write(scratch / "selected", [testing.selected(question) for question in testing.questions(12)], Selected)
    config = sft.Config(
        init=TINY, max_steps=40, batch_size=12, learning_rate=2e-2, max_length=96, system_prompt="none", suffix="none"
    )
    inputs = sft.Inputs(scratch=scratch, selected=scratch / "selected")
    sft.run(config, inputs)
    return inputs.output
