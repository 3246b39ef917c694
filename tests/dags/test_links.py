import json

import msgspec
import pytest
from airflow.serialization.serialized_objects import DagSerialization

NAMES = ["laptop", "laptop-study", "evaluate", "deepdistill-32b", "am-1.4m"]


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_has_its_links_once_airflow_has_stored_the_dag(dags, name):
    """As the web server reads it back: it never imports an operator."""
    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dags[name]))))
    of_stages = {
        task.task_id for task in dags[name].tasks if hasattr(task, "cmds") or (task.is_mapped and "stage" in task.partial_kwargs)
    }
    links = {task.task_id: sorted(task.extra_links) for task in stored.tasks if task.task_id in of_stages}
    assert len(links) > 0
    assert links == {task: ["MLflow run", "report"] for task in links}


@pytest.mark.parametrize("name", NAMES)
def test_every_dag_can_be_sent_to_airflow_by_the_process_that_reads_its_file(dags, name):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(DagSerialization.to_dict(dags[name])))
