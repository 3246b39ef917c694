import pytest

from tests.integration.house import house


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """The directory and the MLflow URI of the session's house: what one test's DAG made, another's takes over."""
    directory = tmp_path_factory.mktemp("house")
    with house(directory) as uri:
        yield directory, uri
