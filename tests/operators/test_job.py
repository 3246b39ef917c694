import asyncio
import json
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from tenacity import wait_none

from operators.job import StageJob
from operators.placement import cpu, gpu
from operators.reaper import reap
from operators.retries import Outage
from operators.stage import StageOperator, operator_of
from tests.operators.kubernetes_fake import PENDING, RUNNING, container, ended

GIVEN = {"task_id": "sft-1", "stage": "sft", "recipe": "@deepdistill/sft-1", "target": "s3://b/sft/d/1", "post_execute": None}
DONE = {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 4}
FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}], "failed": 1}


@pytest.fixture
def make(cluster, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_RANKS_SERVICE", "house-ranks")
    return lambda **options: StageJob(job_poll_interval=0.01, **(GIVEN | gpu(8, nodes=4) | options))


@pytest.fixture
def end(cluster):
    """Give the Job its end, and its ranks theirs, as the cluster's own controller would."""

    def ended_with(job_status: dict, ranks: dict[int, dict]) -> None:
        [name] = cluster.names("jobs")
        cluster.objects["jobs", name]["status"] = job_status
        for rank, status in ranks.items():
            labels = {"batch.kubernetes.io/job-name": name, "batch.kubernetes.io/job-completion-index": str(rank)}
            spec = {"containers": [{"name": "base", "resources": {"limits": {"memory": "768Gi"}}}]}
            cluster.lives = [status]
            cluster.add("pods", {"metadata": {"name": f"{name}-{rank}", "labels": labels}, "spec": spec})

    return ended_with


def start(task, context) -> TaskDeferred:
    task.render_template_fields(context)
    with pytest.raises(TaskDeferred) as raised:
        task.execute(context)
    return raised.value


def finish(task, context, deferred: TaskDeferred) -> None:
    event = asyncio.run(anext(deferred.trigger.run())).payload
    getattr(task, deferred.method_name)(context, event=event)


def test_placement_of_several_nodes_takes_all_their_slots():
    placed = gpu(8, nodes=4)
    assert (placed["pool_slots"], placed["nodes"], placed["resources_needed"]["nvidia.com/gpu"]) == (32, 4, "8")


def test_operator_follows_the_placement(monkeypatch):
    monkeypatch.delenv("STILLHOUSE_RUNNER", raising=False)
    assert operator_of(gpu(8, nodes=4)) is StageJob
    assert operator_of(gpu(8)) is operator_of(cpu(1)) is StageOperator
    monkeypatch.setenv("STILLHOUSE_RUNNER", "process")
    assert operator_of(gpu(8, nodes=4)) is StageOperator


def test_job_is_valid_by_the_strict_schema(make, valid, context, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_QUEUE", "research")
    task = make(execution_timeout=timedelta(hours=5))
    task.render_template_fields(context)
    body = valid(task.build_job_request_obj(context))

    spec, pod = body["spec"], body["spec"]["template"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"], spec["backoffLimit"]) == ("Indexed", 4, 4, 0)
    assert spec["activeDeadlineSeconds"] == 18000
    assert body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert spec["template"]["metadata"]["labels"]["stillhouse/ranks"] == "true"
    assert (pod["subdomain"], pod["automountServiceAccountToken"]) == ("house-ranks", False)
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"


def test_job_runs_the_stage_under_torchrun_that_meets_at_pod_zero(make, context):
    [container] = make().build_job_request_obj(context).spec.template.spec.containers
    assert container.command == [
        "torchrun", "--nnodes=4", "--node-rank=$(JOB_COMPLETION_INDEX)", "--master-addr=$(JOB_NAME)-0.house-ranks",
        "--master-port=29500", "--nproc-per-node=8", "--max-restarts=0", "--shutdown-timeout=110",
        "-m", "stillhouse", "sft", "--config", "@deepdistill/sft-1", "--output", "s3://b/sft/d/1",
    ]  # fmt: skip
    [name] = [each.value_from.field_ref.field_path for each in container.env if each.name == "JOB_NAME"]
    assert name == "metadata.labels['batch.kubernetes.io/job-name']"


def test_job_takes_the_nodes_and_gpus_of_the_form(make, valid, context):
    chosen = {"resources": {"nvidia.com/gpu": "2", "cpu": "16", "memory": "100Gi"}, "nodes": 3}
    task = make(placing=json.dumps(chosen))
    task.render_template_fields(context)
    spec = valid(task.build_job_request_obj(context))["spec"]
    [container] = spec["template"]["spec"]["containers"]
    assert (spec["completions"], spec["parallelism"]) == (3, 3)
    assert container["command"] == make(**gpu(2, nodes=3)).cmds
    assert container["resources"]["limits"] == chosen["resources"]
    assert [each["value"] for each in container["env"] if each["name"] == "OMP_NUM_THREADS"] == ["8"]


def test_job_that_succeeds_is_gone_and_its_ranks_logs_are_the_tasks(make, cluster, context, end, capsys):
    cluster.log = "step 9 of 9\n"
    task = make()
    deferred = start(task, context)
    end(DONE, {rank: ended() for rank in range(4)})
    finish(task, context, deferred)
    assert cluster.names("jobs") == []
    assert capsys.readouterr().out.count("step 9 of 9") == 4


def test_job_log_of_rank_zero_is_the_tasks_while_the_job_runs(make, cluster, context, end, capsys):
    """By the trigger, without a worker; what was carried on is not written again."""
    trigger = start(make(), context).trigger
    cluster.log = "2026-11-24T00:00:01Z step 1 of 9\n"
    end({}, {0: RUNNING, 1: RUNNING})

    async def until_it_is_said() -> None:
        waiting = asyncio.ensure_future(anext(trigger.run()))
        while trigger.read_until is None:
            await asyncio.sleep(0.01)
        [name] = cluster.names("jobs")
        cluster.log = ""
        cluster.objects["jobs", name]["status"] = DONE
        assert (await waiting).payload["read_until"] == trigger.read_until

    asyncio.run(asyncio.wait_for(until_it_is_said(), 30))
    assert capsys.readouterr().out.count("step 1 of 9") == 1


def test_job_fails_with_the_words_of_the_rank_that_refused(make, cluster, context, end):
    task = make()
    deferred = start(task, context)
    end(FAILED, {0: ended(1, "Error"), 2: ended(1, "Error", "learning_rate is 3; give a value below 1")})
    with pytest.raises(AirflowFailException, match=r"^rank 2: learning_rate is 3; give a value below 1$"):
        finish(task, context, deferred)
    assert cluster.names("jobs") == []


def test_job_fails_with_a_ranks_words_also_where_the_log_of_another_cannot_be_read(make, cluster, context, end, monkeypatch):
    monkeypatch.setattr(StageJob._write_logs.retry, "wait", wait_none())
    task = make()
    deferred = start(task, context)
    end(FAILED, {0: PENDING, 1: ended(1, "Error", "learning_rate is 3; give a value below 1")})
    with pytest.raises(AirflowFailException, match=r"^rank 1: learning_rate is 3; give a value below 1$"):
        finish(task, context, deferred)


def test_job_out_of_memory_is_explained_and_may_be_tried_again(make, cluster, context, end):
    task = make()
    deferred = start(task, context)
    end(FAILED, {1: ended(137, "OOMKilled")})
    with pytest.raises(AirflowException, match="rank 1: out of memory: the stage was killed at its limit of 768Gi") as raised:
        finish(task, context, deferred)
    assert not isinstance(raised.value, AirflowFailException)


def test_job_of_a_task_marked_failed_while_deferred_is_gone(make, cluster, context):
    trigger = start(make(), context).trigger
    assert len(cluster.names("jobs")) == 1
    asyncio.run(trigger.on_kill())
    assert cluster.names("jobs") == []


def test_job_of_a_task_killed_on_its_worker_is_gone(make, cluster, context):
    task = make()
    start(task, context)
    task.on_kill()
    assert cluster.names("jobs") == []


def test_job_trigger_is_restored_by_the_triggerer(make, context):
    from importlib import import_module

    path, arguments = start(make(), context).trigger.serialize()
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name)(**arguments).serialize() == (path, arguments)


@pytest.mark.parametrize(("state", "left"), [("deferred", 1), ("up_for_retry", 1), ("failed", 0), (None, 0)])
def test_job_that_no_living_task_owns_is_reaped(make, cluster, context, state, left):
    task = make()
    start(task, context)
    clients = {"core": task.client, "batch": task.job_client, "apps": task.hook.apps_v1_client}
    reap(clients, "house", lambda dag_id, run_id: {"graded": state})
    assert len(cluster.names("jobs")) == left


def test_job_that_still_runs_is_carried_on_by_the_next_try(make, cluster, context):
    first = start(make(), context).trigger.job_name
    context["ti"].try_number = 2
    assert start(make(), context).trigger.job_name == first
    assert cluster.requests.count("POST jobs") == 1


def test_job_on_its_way_out_is_not_carried_on(make, cluster, context):
    first = start(make(), context).trigger.job_name
    cluster.objects["jobs", first]["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    context["ti"].try_number = 2
    assert start(make(), context).trigger.job_name != first


def test_job_that_failed_unseen_is_made_anew_by_the_next_try(make, cluster, context, end):
    first = start(make(), context).trigger.job_name
    end(FAILED, {})
    context["ti"].try_number = 2
    assert start(make(), context).trigger.job_name != first


def test_job_with_a_rank_that_finds_no_node_in_time_ends_with_the_clusters_words(make, cluster, context, end, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PENDING_S", "0")
    task = make()
    deferred = start(task, context)
    end({}, {0: RUNNING, 1: PENDING})
    with pytest.raises(AirflowException, match=r"1 of 4 ranks started in 0 s: .*no node had room .*Insufficient nvidia.com/gpu"):
        finish(task, context, deferred)
    assert cluster.names("jobs") == []


def test_job_beyond_its_quota_says_so_and_ends(make, cluster, context, monkeypatch, capsys):
    monkeypatch.setenv("STILLHOUSE_PENDING_S", "0")
    task = make()
    deferred = start(task, context)
    [name] = cluster.names("jobs")
    about = {"kind": "Job", "name": name, "namespace": "house"}
    message = "pods is forbidden: exceeded quota: house-gpus"
    warning = {"metadata": {"name": "e1"}, "involvedObject": about, "reason": "FailedCreate", "message": message, "type": "Warning"}
    cluster.add("events", warning)
    with pytest.raises(AirflowException, match="0 of 4 ranks started in 0 s: FailedCreate: .* exceeded quota: house-gpus"):
        finish(task, context, deferred)
    assert "exceeded quota: house-gpus" in capsys.readouterr().out


def test_job_that_a_queue_holds_back_waits_without_limit(make, cluster, context, end, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PENDING_S", "0")
    trigger = start(make(), context).trigger
    [name] = cluster.names("jobs")
    cluster.objects["jobs", name]["spec"]["suspend"] = True

    async def admitted_later() -> None:
        waiting = asyncio.ensure_future(anext(trigger.run()))
        while cluster.requests.count("GET jobs") < 4:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        cluster.objects["jobs", name] |= {"status": DONE}
        assert (await waiting).payload["status"] == "success"

    asyncio.run(asyncio.wait_for(admitted_later(), 30))


def test_job_with_a_missing_secret_is_given_up_early(make, cluster, context, end):
    task = make()
    deferred = start(task, context)
    deferred.trigger.cannot_start_s = 0
    waiting = container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "s" not found'})
    end({}, {0: {"phase": "Pending", "containerStatuses": [waiting]}})
    with pytest.raises(AirflowException, match='CreateContainerConfigError: secret "s" not found'):
        finish(task, context, deferred)


def test_job_that_somebody_deleted_after_its_success_is_a_success(make, cluster, context):
    event = {"name": "gone", "namespace": "house", "status": "success", "message": "ok", "read_until": None}
    make().execute_complete(context, event)
    assert cluster.requests.count("DELETE jobs") == 1


def test_job_that_somebody_deleted_while_it_ran_is_an_outage(make, cluster, context):
    task = make()
    deferred = start(task, context)
    cluster.objects.clear()
    with pytest.raises(Outage, match="somebody deleted the Job"):
        finish(task, context, deferred)


def test_job_is_awaited_through_an_outage_of_the_api(make, cluster, context, monkeypatch, capsys):
    trigger = start(make(), context).trigger
    [name] = cluster.names("jobs")
    cluster.objects["jobs", name]["status"] = DONE
    answer, refused = cluster.answer, []

    def away(method: str, path: str, body: dict) -> tuple:
        refused.append(path)
        return (503, {"kind": "Status", "code": 503}) if len(refused) < 4 else answer(method, path, body)

    monkeypatch.setattr(cluster, "answer", away)
    assert asyncio.run(anext(trigger.run())).payload["status"] == "success"
    assert "the API server does not answer" in capsys.readouterr().out


def test_job_is_scheduled_whole_by_volcano(make, valid, context, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SCHEDULER", "volcano")
    monkeypatch.setenv("STILLHOUSE_QUEUE", "research")
    job = valid(make().build_job_request_obj(context))
    assert job["metadata"]["annotations"]["scheduling.volcano.sh/group-min-member"] == str(job["spec"]["completions"])
    template = job["spec"]["template"]
    assert template["spec"]["schedulerName"] == "volcano"
    assert template["metadata"]["annotations"]["scheduling.volcano.sh/queue-name"] == "research"


def test_job_that_loses_a_pod_to_the_cluster_ends_at_once(make, valid, context):
    task = make()
    task.render_template_fields(context)
    policy = valid(task.build_job_request_obj(context))["spec"]["podFailurePolicy"]
    assert policy == {"rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
