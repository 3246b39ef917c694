import os
from pathlib import Path

import pytest

# Airflow reads these when it is first imported.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ["STILLHOUSE_RUNNER"] = "process"
OWN = ("toy", "mine", "late", "wrong", "careful", "nightly-mine", "following")
"""Names of profiles that tests write, beside one that is packaged."""
DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="session")
def dags():
    """All DAGs of this repository, by id; fails where one does not load."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS), collect_dags=True)
    assert bag.import_errors == {}
    return bag.dags


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Load DAG files with profiles of one's own: call with the files' names; returns the DAGs and the import errors by file."""
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", str(tmp_path / "profiles"))
    monkeypatch.setenv("STILLHOUSE_PROFILES", ",".join(OWN))  # the others take long
    (tmp_path / "profiles").mkdir()

    def call(*names: str):
        found, errors = {}, {}
        for name in names:
            bag = DagBag(str(DAGS / f"{name}.py"), collect_dags=True)
            found |= bag.dags
            errors |= {Path(path).stem: text for path, text in bag.import_errors.items()}
        return found, errors

    call.path = tmp_path / "profiles"
    return call
