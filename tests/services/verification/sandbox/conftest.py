import os

import pytest

from stillhouse.errors import EngineFailed
from stillhouse.verification.sandbox.runner import NAMESPACES, Sandbox


@pytest.fixture(scope="session", params=["", "portable"], ids=["namespaces", "portable"])
def sandbox(request):
    """A sandbox that every run of the session shares, by isolation."""
    os.environ["STILLHOUSE_SECRET"] = "not to be seen"
    patch = pytest.MonkeyPatch()
    patch.setenv("STILLHOUSE_ISOLATION", request.param)
    try:
        started = Sandbox()
    except EngineFailed as error:
        pytest.skip(str(error))
    finally:
        patch.undo()
    with started:
        if not request.param and started.isolation != NAMESPACES:
            pytest.skip("this kernel allows no namespaces")
        yield started
