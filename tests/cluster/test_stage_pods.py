"""Stages as pods of a real cluster, driven as worker and triggerer do in turn."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from operators.pod import StagePod
from operators.reaper import reap
from tests.cluster.conftest import IMAGE, NAMESPACE, left, missing, stages, until

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.timeout(300)

GIVEN = {
    "task_id": "graded", "stage": "questions", "recipe": "@toy/questions", "target": "file:///scratch/questions/toy/1",
    "resources_needed": {"cpu": "250m", "memory": "1Gi"}, "image": IMAGE, "post_execute": None,
    "startup_check_interval_seconds": 1, "termination_grace_period": 1,
}  # fmt: skip


def make(**options) -> StagePod:
    return StagePod(**(GIVEN | options))


def start(task: StagePod, context) -> TaskDeferred:
    task.render_template_fields(context)
    with pytest.raises(TaskDeferred) as raised:
        task.execute(context)
    return raised.value


def waiting(core) -> list:
    return [pod for pod in stages(core) if pod.status.phase == "Pending"]


def test_stage_runs_to_its_end_with_its_log_and_is_gone(core, context, run, capfd):
    run(make(), context)
    assert "questions done in" in capfd.readouterr().out
    assert until(lambda: not left(core))


def test_stage_that_refuses_fails_with_its_words_and_is_gone(core, context, run):
    with pytest.raises(AirflowFailException, match="no-such-recipe"):
        run(make(recipe="@toy/no-such-recipe"), context)
    assert until(lambda: not left(core))


def test_stage_out_of_memory_is_explained_and_is_gone(core, context, run):
    with pytest.raises(AirflowException, match="out of memory: the stage was killed at its limit of 24Mi"):
        run(make(resources_needed={"cpu": "250m", "memory": "24Mi"}), context)
    assert until(lambda: not left(core))


def test_stage_that_no_node_can_hold_says_what_it_asked_for_and_is_gone(core, context, run):
    with pytest.raises(AirflowException, match="no node had room for cpu 900"):
        run(make(resources_needed={"cpu": "900", "memory": "1Gi"}, schedule_timeout_seconds=5), context)
    assert until(lambda: not left(core))


def test_gpu_request_waits_and_is_scheduled_once_another_is_done(core, context, run):
    nodes = core.list_node().items
    free = sum(int((node.status.allocatable or {}).get("nvidia.com/gpu", 0)) for node in nodes)
    if not free:
        pytest.skip("no node offers nvidia.com/gpu")
    all_of_them = {"cpu": "250m", "memory": "1Gi", "nvidia.com/gpu": str(free)}
    context["ti"].task_id = "first"
    holder = start(make(resources_needed=all_of_them), context).trigger
    assert until(lambda: stages(core) and not waiting(core))

    context["ti"].task_id = "second"
    context["task_state_store"].set("pod_identifier", None)
    second = make(resources_needed=all_of_them)
    trigger = start(second, context).trigger
    assert until(lambda: len(waiting(core)) == 1)
    asyncio.run(holder.on_kill())
    event = asyncio.run(anext(trigger.run())).payload
    second.trigger_reentry(context, event)
    assert until(lambda: not left(core))


def test_stage_marked_failed_while_deferred_is_gone(core, context):
    trigger = start(make(), context).trigger
    assert len(stages(core)) == 1
    asyncio.run(trigger.on_kill())
    assert until(lambda: not left(core))


def test_stage_beyond_the_tasks_time_is_gone(core, context, run):
    context["ti"].start_date = datetime.now(UTC) - timedelta(hours=2)
    with pytest.raises(AirflowException):
        run(make(execution_timeout=timedelta(hours=1)), context)
    assert until(lambda: not left(core))


def test_stage_outlives_a_killed_worker_and_the_next_try_carries_on_with_it(core, context, run):
    start(make(), context)
    [first] = [pod.metadata.name for pod in stages(core)]
    context["ti"].try_number = 2
    second = start(make(), context)
    assert second.trigger.pod_name == first


def test_stage_that_is_on_its_way_out_is_not_carried_on_with(core, context, run):
    """A task that was cleared starts again while the pod of before has its grace period to end."""
    trigger = start(make(termination_grace_period=30), context).trigger
    [first] = [pod.metadata.name for pod in stages(core)]
    asyncio.run(trigger.on_kill())
    context["ti"].try_number = 2
    second = start(make(), context)
    assert second.trigger.pod_name != first


def test_stage_that_no_task_owns_is_reaped(core, context):
    start(make(), context)
    hook = KubernetesHook(conn_id=KubernetesHook.default_conn_name)
    clients = {"core": hook.core_v1_client, "batch": hook.batch_v1_client, "apps": hook.apps_v1_client}
    assert reap(clients, NAMESPACE, lambda dag_id, run_id: {"graded": "deferred"}) == []
    assert len(reap(clients, NAMESPACE, lambda dag_id, run_id: {"graded": "failed"})) == 1
    assert until(lambda: not left(core))
