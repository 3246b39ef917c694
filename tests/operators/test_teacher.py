import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator

from operators import reaper, serving, teacher
from operators.placement import cpu
from operators.pod import StagePod

SETTINGS = {"name": "qwq-32b", "model": "Qwen/QwQ-32B", "gpus": 2, "replicas": 3, "arguments": ["--max-model-len", "40960"]}
OWNER = {
    "stillhouse/dag-id": "retrain",
    "stillhouse/run-id": "r",
    "stillhouse/task-id": "stop-qwq-32b",
    "stillhouse/map-index": "-1",
}


@pytest.fixture
def running(cluster, context, monkeypatch):
    """Inside a task of a run on the cluster."""
    monkeypatch.delenv("STILLHOUSE_RUNNER", raising=False)
    monkeypatch.setattr(teacher, "get_current_context", lambda: context)
    return serving.in_run("qwq-32b", context["ti"])


def test_teacher_is_valid_by_the_strict_schemas(valid, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_MODEL_CACHE", "models")
    deployment, service = map(valid, serving.objects("teacher-qwq-32b-1", SETTINGS, OWNER))

    spec = deployment["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert container["command"][-4:] == ["--tensor-parallel-size", "2", "--max-model-len", "40960"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert {"/dev/shm", "/models", "/scratch"} == {each["mountPath"] for each in container["volumeMounts"]}
    assert (spec["automountServiceAccountToken"], container["securityContext"]["readOnlyRootFilesystem"]) == (False, True)
    assert deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "teacher"


def test_teacher_is_made_awaited_and_deleted(cluster, running):
    teacher._start("qwq-32b", SETTINGS, "stop-qwq-32b")
    deployment = cluster.objects["deployments", running]
    deployment["status"] = {"readyReplicas": 2}
    assert teacher._ready("qwq-32b", "qwq-32b").is_done is False
    deployment["status"] = {"readyReplicas": 3}
    found = teacher._ready("qwq-32b", "qwq-32b")
    assert (found.is_done, found.xcom_value) == (True, f"qwq-32b=http://{running}:8000/v1")

    teacher._stop("qwq-32b")
    assert cluster.names("deployments") == cluster.names("services") == []


def test_teacher_started_or_stopped_twice_is_the_same(cluster, running):
    teacher._start("qwq-32b", SETTINGS, "stop-qwq-32b")
    teacher._start("qwq-32b", SETTINGS, "stop-qwq-32b")
    assert cluster.names("deployments") == [running]
    teacher._stop("qwq-32b")
    teacher._stop("qwq-32b")
    assert cluster.names("deployments") == []


def test_teachers_of_two_runs_have_two_names(context):
    first = serving.in_run("qwq-32b", context["ti"])
    context["ti"].run_id = "another"
    assert serving.in_run("qwq-32b", context["ti"]) != first


@pytest.mark.parametrize(
    ("states", "left"),
    [({"stop-qwq-32b": None}, True), ({"stop-qwq-32b": "running"}, True), ({"stop-qwq-32b": "failed"}, False), ({}, False)],
    ids=["before its turn", "now", "failed", "run deleted"],
)
def test_teacher_is_reaped_once_nothing_will_stop_it(cluster, running, states, left):
    teacher._start("qwq-32b", SETTINGS, "stop-qwq-32b")
    hook, namespace = serving._cluster()
    clients = {"core": hook.core_v1_client, "batch": hook.batch_v1_client, "apps": hook.apps_v1_client}
    reaper.reap(clients, namespace, lambda dag_id, run_id: states)
    assert cluster.names("deployments") == cluster.names("services") == ([running] if left else [])


def test_teacher_is_torn_down_after_its_stages_also_when_they_fail():
    with DAG("taught"):
        served = teacher.serve("QwQ-32B", model="Qwen/QwQ-32B", gpus=2)
        stage = StagePod(
            task_id="responses",
            stage="responses",
            recipe="@toy/responses",
            target="s3://b/r/1",
            variables={"STILLHOUSE_ENDPOINTS": served.endpoints},
            **cpu(1),
        )
        served.ready >> stage >> served.stop
    stop: BaseOperator = served.stop.operator
    assert stop.is_teardown
    assert stop.trigger_rule.value == "all_done_setup_success"
    assert {"responses", "start-qwq-32b"} <= stop.upstream_task_ids
    assert stage.upstream_task_ids == {"ready-qwq-32b"}
    variables = {each.name: each.value for each in stage.build_pod_request_obj(dry_run=True).spec.containers[0].env}
    assert variables["STILLHOUSE_ENDPOINTS"] == "{{ ti.xcom_pull(task_ids='ready-qwq-32b') or '' }}"


def test_teacher_is_somebody_elses_where_stages_are_processes(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_RUNNER", "process")
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", "http://127.0.0.1:8000/v1")
    assert teacher._start("qwq-32b", SETTINGS, "stop-qwq-32b") is None
    assert teacher._ready("qwq-32b", "qwq-32b").xcom_value == "http://127.0.0.1:8000/v1"
    assert teacher._stop("qwq-32b") is None
