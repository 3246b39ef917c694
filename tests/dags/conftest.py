import os
from pathlib import Path

import pytest

# Airflow reads these when it is first imported.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ["STILLHOUSE_RUNNER"] = "process"
DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="session")
def dags():
    """All DAGs of this repository, by id; fails where one does not load."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS), collect_dags=True)
    assert bag.import_errors == {}
    return bag.dags
