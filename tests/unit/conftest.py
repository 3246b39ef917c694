import os

import pytest

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No unit test talks to a server or a store that the caller's shell names."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "AWS_", "STILLHOUSE_"))]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
