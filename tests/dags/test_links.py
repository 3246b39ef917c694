import json

import msgspec
import pytest
from airflow.serialization.serialized_objects import DagSerialization

TASKS_OF_OUR_OWN = {"open_run", "close_run", "plan"}


@pytest.mark.parametrize("name", ["retrain", "evaluate", "answer_study"])
def test_every_stage_has_its_links_once_airflow_has_stored_the_dag(dags, name):
    """As the web server reads it back: it never imports an operator."""
    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dags[name]))))
    links = {task.task_id: sorted(task.extra_links) for task in stored.tasks if task.task_id not in TASKS_OF_OUR_OWN}
    assert len(links) > 0
    assert links == {task: ["MLflow run", "report"] for task in links}


@pytest.mark.parametrize("name", ["retrain", "evaluate", "answer_study"])
def test_every_dag_can_be_sent_to_airflow_by_the_process_that_reads_its_file(dags, name):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(DagSerialization.to_dict(dags[name])))
