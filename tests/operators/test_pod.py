import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from operators.placement import cpu, gpu
from operators.pod import StagePod
from operators.pod_trigger import StagePodTrigger
from operators.retries import Outage, passes
from tests.operators.kubernetes_fake import BEGUN, PENDING, RUNNING, SUCCEEDED, container, ended

GIVEN = {"task_id": "graded", "stage": "graded", "recipe": "@toy/graded", "target": "s3://b/graded/toy/1", "parent_run": "r1"}
QUICK = {"startup_check_interval_seconds": 0, "poll_interval": 0.01, "logging_interval": 0, "post_execute": None}
REFUSED = ended(1, "Error", "questions has 0 rows; give it some")


@pytest.fixture
def make(cluster, monkeypatch):
    for name, value in {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000", "STILLHOUSE_IMAGES": "registry.example/stillhouse", "STILLHOUSE_TAG": "1.2",
        "STILLHOUSE_STAGE_SECRET": "stage-credentials", "STILLHOUSE_MODEL_CACHE": "models", "STILLHOUSE_SERVICE_ACCOUNT": "stage",
        "STILLHOUSE_GPU_NODES": "accelerator=h100,pool=train", "STILLHOUSE_PULL_SECRET": "registry",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return lambda **options: StagePod(**(GIVEN | QUICK | options))


def deferred(task, context) -> TaskDeferred:
    task.render_template_fields(context)
    with pytest.raises(TaskDeferred) as raised:
        task.execute(context)
    return raised.value


def test_pod_overrides_of_the_provider_are_few_and_known():
    own = {name for name in vars(StagePod) if not name.startswith("__")}
    overridden = {name for name in own if callable(getattr(KubernetesPodOperator, name, None))}
    assert overridden == {"build_pod_request_obj", "defer", "trigger_reentry", "is_istio_enabled"}


@pytest.mark.parametrize("placed", [cpu(2), gpu(8)], ids=["cpu", "gpu"])
def test_pod_is_valid_by_the_strict_schema(make, valid, context, placed):
    body = valid(make(**placed).build_pod_request_obj(context))
    assert body["spec"]["restartPolicy"] == "Never"


def test_pod_runs_the_stage_with_its_placement(make):
    task = make(stage="sft", inputs={"selected": "s3://b/selected/laptop/1"}, **gpu(2))
    spec = task.build_pod_request_obj().spec
    container = spec.containers[0]

    assert container.command == [
        "torchrun", "--standalone", "--nproc-per-node=2", "--max-restarts=0", "--shutdown-timeout=110", "-m", "stillhouse", "sft",
        "--config", "@toy/graded", "--input", "selected=s3://b/selected/laptop/1", "--output", "s3://b/graded/toy/1",
    ]  # fmt: skip
    assert container.image == "registry.example/stillhouse/train:1.2"
    assert container.resources.limits == {"nvidia.com/gpu": "2", "cpu": "16", "memory": "192Gi"}
    assert (task.pool, task.pool_slots) == ("gpu", 2)
    assert spec.node_selector == {"accelerator": "h100", "pool": "train"}
    assert [each.key for each in spec.tolerations] == ["nvidia.com/gpu"]


def placing(nodes=1, **resources):
    named = {"nvidia.com/gpu": resources.pop("gpus")} if "gpus" in resources else {}
    return json.dumps({"resources": named | resources, "nodes": nodes})


@pytest.mark.parametrize(("before", "after", "start"), [(1, "4", "torchrun"), (4, "1", "stillhouse"), (2, "8", "torchrun")])
def test_pod_of_a_training_takes_the_gpus_of_the_form(make, context, before, after, start):
    task = make(stage="sft", placing=placing(gpus=after, cpu="16", memory="200Gi"), **gpu(before))
    task.render_template_fields(context)
    container = task.build_pod_request_obj(context).spec.containers[0]
    assert container.command == make(stage="sft", **gpu(int(after))).cmds
    assert container.command[0] == start
    assert container.resources.limits == {"nvidia.com/gpu": after, "cpu": "16", "memory": "200Gi"}


def test_pod_without_a_gpu_takes_the_cores_of_the_form_and_as_many_threads(make, context):
    task = make(placing=placing(cpu="12", memory="48Gi"), **cpu(2))
    task.render_template_fields(context)
    container = task.build_pod_request_obj(context).spec.containers[0]
    assert container.resources.limits == {"cpu": "12", "memory": "48Gi"}
    assert [each.value for each in container.env if each.name == "OMP_NUM_THREADS"] == ["12"]
    assert container.command == make(**cpu(2)).cmds


@pytest.mark.parametrize(("share", "reserved"), [("1", "2"), ("0.25", "500m")])
def test_pod_reserves_its_share_of_the_cores_and_may_use_them_all(make, monkeypatch, share, reserved):
    monkeypatch.setenv("STILLHOUSE_CPU_SHARE", share)
    resources = make(**cpu(2)).build_pod_request_obj().spec.containers[0].resources
    assert resources.requests == {"cpu": reserved, "memory": "8Gi"}
    assert resources.limits == {"cpu": "2", "memory": "8Gi"}


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        ("NCCL_SOCKET_IFNAME", True), ("NCCL_IB_HCA", True), ("TORCH_NCCL_ASYNC_ERROR_HANDLING", True), ("FI_PROVIDER", True),
        ("UCX_TLS", True), ("GLOO_SOCKET_IFNAME", True), ("PYTORCH_CUDA_ALLOC_CONF", True), ("PYTORCH_ALLOC_CONF", True),
        ("FILES", False), ("PYTHONPATH", False), ("MY_NCCL_DEBUG", False),
    ],
)  # fmt: skip
def test_pod_gets_the_variables_of_the_fabric_and_no_others(make, monkeypatch, name, passed):
    monkeypatch.setenv(name, "x")
    [container] = make(stage="sft", **gpu(8)).build_pod_request_obj().spec.containers
    assert ({each.name: each.value for each in container.env}.get(name) == "x") is passed


def test_pod_environment_reaches_mlflow_and_the_parent_run(make):
    variables = {each.name: each.value for each in make(**cpu(3)).build_pod_request_obj().spec.containers[0].env}
    assert variables["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert variables["MLFLOW_RUN_ID"] == "r1"
    assert variables["MLFLOW_EXPERIMENT_NAME"] == "{{ ti.dag_id }}"
    assert variables["DO_NOT_TRACK"] == "1"
    assert variables["OMP_NUM_THREADS"] == "3"
    assert variables["STILLHOUSE_IMAGE"] == "registry.example/stillhouse/worker:1.2"


def test_pod_credentials_come_by_reference_alone(make, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    pod = make(**cpu(1)).build_pod_request_obj()
    assert "hunter2" not in str(pod)
    assert [each.secret_ref.name for each in pod.spec.containers[0].env_from] == ["stage-credentials"]
    assert [each.name for each in pod.spec.image_pull_secrets] == ["registry"]


def test_pod_has_no_rights(make):
    spec = make(**cpu(1)).build_pod_request_obj().spec
    container = spec.containers[0].security_context

    assert (spec.service_account_name, spec.automount_service_account_token) == ("stage", False)
    assert spec.security_context.run_as_non_root is True
    assert spec.security_context.seccomp_profile.type == "RuntimeDefault"
    assert container.read_only_root_filesystem is True
    assert container.allow_privilege_escalation is False
    assert container.capabilities.drop == ["ALL"]


def test_pod_has_the_shared_memory_that_its_profile_says(make, valid):
    pod = valid(make(**gpu(1), pod={"shared_memory": "16Gi", "scratch": "1Ti"}).build_pod_request_obj(dry_run=True))
    sizes = {volume["name"]: volume["emptyDir"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume}
    assert sizes == {"scratch": {"sizeLimit": "1Ti"}, "shared-memory": {"medium": "Memory", "sizeLimit": "16Gi"}}
    assert [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]].count("/dev/shm") == 1


@pytest.mark.parametrize(("placed", "mounted"), [(cpu(1), ["/scratch", "/models"]), (gpu(1), ["/scratch", "/models", "/dev/shm"])])
def test_pod_mounts_scratch_the_model_cache_and_on_gpus_shared_memory(make, placed, mounted):
    spec = make(**placed).build_pod_request_obj().spec
    assert [each.mount_path for each in spec.containers[0].volume_mounts] == mounted
    assert [each.name for each in spec.volumes] == [each.name for each in spec.containers[0].volume_mounts]
    assert spec.termination_grace_period_seconds == 120
    assert {each.name: each.value for each in spec.containers[0].env}["HF_HOME"] == "/models"


def test_pod_has_the_grace_that_the_environment_gives_and_tells_the_stage(make, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_GRACE_S", "900")
    spec = make(**gpu(1)).build_pod_request_obj().spec
    assert spec.termination_grace_period_seconds == 900
    assert {each.name: each.value for each in spec.containers[0].env}["STILLHOUSE_GRACE_S"] == "900"


def test_pod_takes_what_the_process_takes(make):
    from operators.process import StageProcess

    options = {"overrides": "{}", "inputs": {"selected": ["a", "b"]}, **gpu(2)}
    assert make(**options).cmds == StageProcess(**(GIVEN | options)).cmds


def test_pod_is_owned_by_its_task_instance(make, context):
    task = make(**cpu(1))
    task.render_template_fields(context)
    owner = task.build_pod_request_obj(context).metadata.annotations
    assert owner["stillhouse/run-id"] == "manual__2026-11-24T00:00:00+00:00"
    assert owner["stillhouse/task-id"] == "graded"


def test_pod_that_succeeds_is_gone_and_its_log_is_the_tasks(make, cluster, context, run, capsys):
    cluster.log = "12,345 rows\n"
    run(make(**cpu(1)), context)
    assert cluster.names("pods") == []
    assert "12,345 rows" in capsys.readouterr().out


def test_pod_that_refuses_fails_at_once_with_its_last_words_and_is_gone(make, cluster, context, run):
    cluster.lives = [RUNNING, REFUSED]
    with pytest.raises(AirflowFailException, match=r"^questions has 0 rows; give it some$"):
        run(make(**cpu(1)), context)
    assert cluster.names("pods") == []


@pytest.mark.parametrize(
    ("last", "words", "kind"),
    [
        (ended(137, "OOMKilled"), "out of memory: the stage was killed at its limit of 4Gi", AirflowException),
        (ended(139, "Error"), "killed by signal 11", AirflowException),
        (ended(2, "Error"), "crashed with exit code 2", AirflowException),
        (ended(137, "Error"), "killed by signal 9", Outage),
        (ended(75, "Error", "s3://house: connection refused"), "s3://house: connection refused", Outage),
        (ended(1, "Error", "stopped") | {"reason": "NodeShutdown", "message": "drained"}, r"\(NodeShutdown\): drained", Outage),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on disk"}, r"outside \(Evicted\): low on disk", Outage),
    ],
    ids=["memory", "signal", "crash", "killed", "store", "shutdown", "evicted"],
)  # fmt: skip
def test_pod_that_is_killed_is_explained_by_its_kind_and_gone(make, cluster, context, run, last, words, kind):
    cluster.lives = [RUNNING, last]
    with pytest.raises(AirflowException, match=words) as raised:
        run(make(**cpu(1)), context)
    assert type(raised.value) is kind
    assert cluster.names("pods") == []


def test_pod_that_finds_no_node_in_time_says_what_it_asked_for_and_is_gone(make, cluster, context, run):
    cluster.lives = [PENDING]
    with pytest.raises(AirflowException, match=r"no node had room for nvidia.com/gpu 1, .* Insufficient nvidia.com/gpu"):
        run(make(schedule_timeout_seconds=-1, **gpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_beyond_the_tasks_time_is_gone(make, cluster, context, run):
    cluster.lives = [RUNNING]
    context["ti"].start_date = datetime.now(UTC) - timedelta(hours=2)
    with pytest.raises(AirflowException, match="longer than the task's execution_timeout of 1:00:00"):
        run(make(execution_timeout=timedelta(hours=1), **cpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_log_is_carried_on_while_the_stage_runs(make, cluster, context, capsys):
    """By the trigger, without a worker."""
    cluster.lives, cluster.log = [RUNNING] * 20 + [SUCCEEDED], "2026-11-24T00:00:01Z step 1 of 9\n"
    trigger = deferred(make(**(cpu(1) | {"logging_interval": 0.001})), context).trigger
    asyncio.run(anext(trigger.run()))
    assert "step 1 of 9" in capsys.readouterr().out


def test_pod_waits_for_a_gpu_and_then_runs(make, cluster, context, run):
    cluster.lives = [PENDING, PENDING, PENDING, RUNNING, SUCCEEDED]
    run(make(**gpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_of_a_task_marked_failed_or_cleared_while_deferred_is_gone(make, cluster, context):
    """Airflow tells the trigger, since no worker holds the task."""
    cluster.lives = [RUNNING]
    trigger = deferred(make(**cpu(1)), context).trigger
    assert len(cluster.names("pods")) == 1
    asyncio.run(trigger.on_kill())
    assert cluster.names("pods") == []


def test_pod_of_a_task_killed_on_its_worker_is_gone(make, cluster, context):
    task = make(**cpu(1))
    deferred(task, context)
    task.on_kill()
    assert cluster.names("pods") == []


def test_pod_outlives_its_trigger_and_the_next_try_carries_on_with_it(make, cluster, context, run):
    """A killed scheduler, triggerer or worker: the pod runs on, nothing is computed twice."""
    cluster.lives = [RUNNING, RUNNING, RUNNING, RUNNING, SUCCEEDED]
    trigger = deferred(make(**cpu(1)), context).trigger
    asyncio.run(trigger.cleanup())
    [first] = cluster.names("pods")

    context["ti"].try_number = 2
    run(make(**cpu(1)), context)

    assert cluster.requests.count("POST pods") == 1
    assert first not in cluster.names("pods")


def test_pod_on_its_way_out_is_not_carried_on_with(make, cluster, context, run):
    """A task that was cleared starts again while the pod of before has its two minutes to end."""
    cluster.lives = [RUNNING]
    deferred(make(**cpu(1)), context)
    [first] = cluster.names("pods")
    cluster.objects["pods", first]["metadata"]["deletionTimestamp"] = BEGUN

    context["ti"].try_number, cluster.lives = 2, [RUNNING, SUCCEEDED]
    run(make(**cpu(1)), context)

    assert cluster.requests.count("POST pods") == 2
    assert cluster.names("pods") == [first]


def test_pod_on_its_way_out_that_is_gone_once_it_is_marked_is_no_error(make, cluster, context, run, monkeypatch):
    cluster.lives = [RUNNING]
    deferred(make(**cpu(1)), context)
    [first] = cluster.names("pods")
    cluster.objects["pods", first]["metadata"]["deletionTimestamp"] = BEGUN
    answer = cluster.answer

    def gone_when_marked(method, path, body):
        if method == "PATCH" and path.endswith(f"/{first}"):
            cluster.objects.pop(("pods", first), None)
        return answer(method, path, body)

    monkeypatch.setattr(cluster, "answer", gone_when_marked)
    context["ti"].try_number, cluster.lives = 2, [RUNNING, SUCCEEDED]
    run(make(**cpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_beyond_the_quota_says_so_in_one_line(make, cluster, context, run):
    cluster.refusal = 'pods "stage-1" is forbidden: exceeded quota: stages, requested: requests.cpu=9, limited: requests.cpu=2'
    with pytest.raises(Outage, match=r"^the cluster refused the pod: .* exceeded quota: .*capacity$") as raised:
        run(make(**cpu(9)), context)
    assert "\n" not in str(raised.value)


def test_pod_that_the_cluster_forbids_is_not_tried_again(make, cluster, context, run):
    cluster.refusal = 'admission webhook "policy" denied the request: images must come from registry.example'
    with pytest.raises(AirflowFailException, match=r"^the cluster refused the pod: admission webhook .* registry.example$"):
        run(make(**cpu(1)), context)


def test_pod_that_failed_before_is_made_anew_by_the_next_try(make, cluster, context, run):
    cluster.lives = [RUNNING, ended(2, "Error")]
    with pytest.raises(AirflowException):
        run(make(**cpu(1)), context)
    context["ti"].try_number, cluster.lives = 2, [RUNNING, SUCCEEDED]
    run(make(**cpu(1)), context)
    assert cluster.requests.count("POST pods") == 2
    assert cluster.names("pods") == []


def test_pod_that_was_preempted_and_deleted_is_tried_again(make, cluster, context, run):
    task = make(**cpu(1))
    waiting = deferred(task, context)
    cluster.objects.clear()
    event = {"status": "error", "name": waiting.trigger.pod_name, "namespace": "house", "message": "pod not found"}
    with pytest.raises(Outage, match="^the pod is gone: somebody deleted it; finished parts are kept") as raised:
        task.trigger_reentry(context, event)
    assert passes(raised.value)


def waiting_for(reason: str, message: str) -> dict:
    statuses = [container(waiting={"reason": reason, "message": message})]
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}], "containerStatuses": statuses}


def with_a_proxy(status: dict) -> dict:
    """As a mesh's webhook has it: its container goes on when the stage has ended."""
    proxy = container(running={"startedAt": BEGUN}) | {"name": "linkerd-proxy"}
    return status | {"phase": "Running", "containerStatuses": [*status["containerStatuses"], proxy]}


def test_pod_with_an_injected_proxy_succeeds_with_the_stage_and_is_gone(make, cluster, context, run):
    cluster.lives = [with_a_proxy(RUNNING), with_a_proxy(SUCCEEDED)]
    run(make(**cpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_with_an_injected_proxy_fails_with_the_stage_and_is_gone(make, cluster, context, run):
    cluster.lives = [with_a_proxy(RUNNING), with_a_proxy(REFUSED)]
    with pytest.raises(AirflowFailException, match=r"^questions has 0 rows; give it some$"):
        run(make(**cpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_whose_init_container_fails_says_what_that_said(make, cluster, context, run):
    end = {"exitCode": 1, "reason": "Error", "message": "vault: permission denied", "startedAt": BEGUN, "finishedAt": BEGUN}
    failed = {
        "phase": "Failed", "conditions": [{"type": "PodScheduled", "status": "True"}],
        "initContainerStatuses": [container(terminated=end) | {"name": "vault-agent-init"}],
        "containerStatuses": [container(waiting={"reason": "PodInitializing"})],
    }  # fmt: skip
    cluster.lives = [PENDING, failed]
    with pytest.raises(AirflowException, match="init container vault-agent-init failed with exit code 1: vault: permission denied"):
        run(make(**cpu(1)), context)


def test_pod_with_a_missing_secret_is_given_up_long_before_the_limit_for_images(make, cluster, context, run, monkeypatch):
    monkeypatch.setattr(StagePodTrigger, "cannot_start_s", 0.0)
    cluster.lives = [waiting_for("CreateContainerConfigError", 'secret "stillhouse-stage" not found')]
    with pytest.raises(AirflowException, match='CreateContainerConfigError: secret "stillhouse-stage" not found'):
        run(make(**cpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_that_a_queue_holds_back_does_not_use_up_its_time_for_a_node(make, cluster, context, run):
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated"}
    gated = {"phase": "Pending", "conditions": [condition]}
    cluster.lives = [gated, gated, gated, RUNNING, SUCCEEDED]
    run(make(schedule_timeout_seconds=-1, **gpu(1)), context)
    assert cluster.names("pods") == []


def test_pod_that_runs_is_awaited_after_any_number_of_outages_of_the_api(make, cluster, context):
    cluster.lives = [RUNNING]
    waiting = deferred(make(**cpu(1)), context)
    for _ in range(6):
        event = {"status": "error", "name": waiting.trigger.pod_name, "namespace": "house", "message": "503"}
        event |= waiting.trigger.trigger_kwargs
        with pytest.raises(TaskDeferred) as raised:
            make(**cpu(1)).trigger_reentry(context, event)
        waiting = raised.value
    assert len(cluster.names("pods")) == 1


def test_pod_that_was_preempted_says_by_whom(make, cluster, context):
    name = deferred(make(**cpu(1)), context).trigger.pod_name
    cluster.objects.clear()
    about = {"kind": "Pod", "name": name, "namespace": "house"}
    cluster.add("events", {
        "metadata": {"name": "e1"}, "involvedObject": about, "reason": "Preempted", "message": "by pod important on node n1",
        "lastTimestamp": BEGUN, "type": "Warning",
    })  # fmt: skip
    event = {"status": "error", "name": name, "namespace": "house", "message": "pod not found"}
    with pytest.raises(Outage, match="the pod is gone: Preempted: by pod important on node n1"):
        make(**cpu(1)).trigger_reentry(context, event)


def test_pod_trigger_is_restored_by_the_triggerer(make, cluster, context):
    path, arguments = deferred(make(**cpu(1)), context).trigger.serialize()
    assert path == "operators.pod_trigger.StagePodTrigger"
    assert StagePodTrigger(**arguments).serialize() == (path, arguments)
