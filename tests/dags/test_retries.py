import pytest

from operators.retries import RetryByKind, waits


@pytest.mark.parametrize("dag_id", ["retrain", "evaluate", "answer_study"])
def test_every_task_is_retried_by_the_kind_of_its_failure(dags, dag_id):
    patience = waits(600)
    for task in dags[dag_id].tasks:
        assert isinstance(task.retry_policy, RetryByKind), task.task_id
        assert (task.retries, task.retry_policy.waits) == (len(patience), tuple(patience)), task.task_id
