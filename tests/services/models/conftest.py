import pytest
from huggingface_hub import constants

from tests.fakes.hub import FakeHub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on loopback, a cache of its own, and a client that may go online."""
    served = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", served.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for offline in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(offline)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # The client read these when it was imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield served
    served.close()
