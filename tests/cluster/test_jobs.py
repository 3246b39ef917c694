"""Trainings on several nodes as indexed Jobs of a real cluster. Their ranks run a shell instead of a training."""

import asyncio
import threading

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from kubernetes import client

from operators.job import StageJob
from operators.retries import Outage
from tests.cluster import abilities
from tests.cluster.conftest import IMAGE, NAMESPACE, left, missing, stages, until

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.timeout(300)

GIVEN = {
    "task_id": "sft-1", "stage": "sft", "recipe": "@toy/sft-1", "target": "file:///scratch/sft/toy/1", "image": IMAGE, "nodes": 2,
    "resources_needed": {"cpu": "1", "memory": "128Mi"}, "post_execute": None, "job_poll_interval": 1,
    "termination_grace_period": 1,
}  # fmt: skip
SELECTOR = "app.kubernetes.io/part-of=stillhouse"


@pytest.fixture(scope="session")
def batch(core):
    if why := abilities.indexed_jobs():
        pytest.skip(why)
    return client.BatchV1Api(core.api_client)


@pytest.fixture
def ranks(core):
    """A cluster that runs pods."""
    if why := abilities.runs_pods(core):
        pytest.skip(why)


@pytest.fixture(autouse=True)
def jobs(batch, cluster, monkeypatch):
    """The stages' Jobs that are there; those that a test leaves are deleted."""
    monkeypatch.setenv("STILLHOUSE_CPU_SHARE", "0.1")  # two ranks fit a small node

    def listed() -> list:
        return batch.list_namespaced_job(NAMESPACE, label_selector=SELECTOR).items

    yield listed
    for job in listed():
        batch.delete_namespaced_job(job.metadata.name, NAMESPACE, propagation_policy="Background")
    assert until(lambda: not listed())


def make(script: str, **options) -> StageJob:
    task = StageJob(**(GIVEN | options))
    task.cmds = ["sh", "-c", script]
    return task


def test_api_server_takes_the_job_as_it_is(batch, context, core):
    task = make("true")
    task.render_template_fields(context)
    job = task.build_job_request_obj(context)
    taken = batch.create_namespaced_job(NAMESPACE, job, dry_run="All", field_validation="Strict")
    assert (taken.spec.completion_mode, taken.spec.completions) == ("Indexed", 2)
    [rule] = taken.spec.pod_failure_policy.rules
    assert (rule.action, rule.on_pod_conditions[0].type) == ("FailJob", "DisruptionTarget")


def test_every_rank_has_its_number_its_log_and_a_name(ranks, context, run, capfd, core, jobs):
    run(make("echo rank=$JOB_COMPLETION_INDEX job=$JOB_NAME host=$(hostname)"), context)
    written = capfd.readouterr().out
    assert "rank=0" in written
    assert "rank=1" in written
    [job] = {line.split("job=")[1].split()[0] for line in written.splitlines() if "job=" in line}
    assert f"host={job}-0" in written
    assert until(lambda: not left(core) and not jobs())


def test_refusal_of_one_rank_is_the_tasks_error_and_ends_the_others(ranks, context, run, core, jobs):
    refuses = "[ $JOB_COMPLETION_INDEX = 0 ] || { echo 'error: selected has 0 rows' >/dev/termination-log; exit 1; }; sleep 250"
    with pytest.raises(AirflowFailException, match="^rank 1: error: selected has 0 rows"):
        run(make(refuses), context)
    assert until(lambda: not left(core) and not jobs())


def test_ranks_without_a_node_are_given_up_in_the_clusters_words(ranks, context, run, core, jobs, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PENDING_S", "5")
    with pytest.raises(AirflowException, match=r"0 of 2 ranks started in 5 s: .*no node had room for cpu 90000m"):
        run(make("true", resources_needed={"cpu": "900", "memory": "128Mi"}), context)
    assert until(lambda: not left(core) and not jobs())


@pytest.fixture
def quota(core):
    """Room for one pod of stages."""
    if why := abilities.quotas(core, NAMESPACE):
        pytest.skip(why)
    core.create_namespaced_resource_quota(NAMESPACE, {"metadata": {"name": "one-pod"}, "spec": {"hard": {"requests.cpu": "150m"}}})
    assert until(lambda: abilities.counted(core, "one-pod", NAMESPACE))
    yield
    core.delete_namespaced_resource_quota("one-pod", NAMESPACE)


def test_job_beyond_a_quota_is_given_up_in_the_clusters_words(quota, context, run, core, jobs, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PENDING_S", "5")
    with pytest.raises(AirflowException, match=r"of 2 ranks started in 5 s: .*exceeded quota: one-pod"):
        run(make("sleep 250"), context)
    assert until(lambda: not left(core) and not jobs())


def test_job_that_loses_a_rank_to_the_cluster_ends_at_once_as_an_outage(ranks, context, run, core, jobs):
    raised: list[BaseException] = []

    def to_the_end() -> None:
        try:
            run(make("sleep 250"), context)
        except AirflowException as error:
            raised.append(error)

    thread = threading.Thread(target=to_the_end)
    thread.start()
    assert until(lambda: len([pod for pod in stages(core) if pod.status.phase == "Running"]) == 2)
    lost = stages(core)[0].metadata
    core.create_namespaced_pod_eviction(lost.name, NAMESPACE, {"metadata": {"name": lost.name, "namespace": NAMESPACE}})
    thread.join(60)
    assert [type(error) for error in raised] == [Outage]
    assert until(lambda: not left(core) and not jobs())


def test_job_that_is_marked_while_it_waits_is_gone_with_its_pods(context, core, jobs, batch):
    task = make("sleep 250")
    task.render_template_fields(context)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert len(jobs()) == 1
    asyncio.run(deferred.value.trigger.on_kill())
    assert until(lambda: not left(core) and not jobs())
