import pytest

from operators.retries import RetryByKind, waits


@pytest.mark.parametrize("dag_id", ["laptop", "evaluate", "laptop-study", "deepdistill-32b", "rollback", "prune"])
def test_every_task_is_retried_by_the_kind_of_its_failure(dags, dag_id):
    patience = waits(600)
    for task in dags[dag_id].tasks:
        if task.task_id == "approve" or task.is_mapped:
            continue  # a person is asked once; a mapped task has the defaults of its DAG
        assert isinstance(task.retry_policy, RetryByKind), task.task_id
        assert (task.retries, task.retry_policy.waits) == (len(patience), tuple(patience)), task.task_id
