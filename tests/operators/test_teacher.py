import os
import subprocess
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from operators import reaper, serving, teacher
from operators.placement import cpu, gpu
from operators.pod import StagePod
from operators.serving_objects import objects
from tests.operators.kubernetes_fake import PENDING, container

SETTINGS = {
    "name": "qwq-32b", "model": "hf://Qwen/QwQ-32B", "run": "s3://house/questions/toy/1", "gpus": 2, "nodes": 1, "replicas": 3,
    "arguments": ["--max-model-len", "40960"], "where": gpu(2, "vllm"),
}  # fmt: skip
R1 = SETTINGS | {"model": "hf://deepseek-ai/DeepSeek-R1", "gpus": 8, "nodes": 2, "replicas": 2, "where": gpu(8, "vllm")}
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
    deployment, service = map(valid, objects("teacher-qwq-32b-1", SETTINGS, OWNER))

    spec = deployment["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert container["command"][-4:] == ["--tensor-parallel-size", "2", "--max-model-len", "40960"]
    assert container["command"][4:6] == ["hf://Qwen/QwQ-32B", "s3://house/questions/toy/1"]
    assert {"name": "VLLM_ENGINE_READY_TIMEOUT_S", "value": "7200"} in container["env"]
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


PROGRAMS = {
    "stillhouse": """#!/bin/sh
echo "stillhouse $@" >> "$CALLS"
echo "$CALLS.model of it"
""",
    "vllm": """#!/bin/sh
for word; do echo "$word" >> "$CALLS"; done
""",
}


def started(tmp_path, container: dict, hostname: str) -> list[str]:
    """The words that the container's command calls its programs with."""
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / hostname
    command = [word.replace("$$", "$") for word in container["command"]]  # as Kubernetes does
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOSTNAME": hostname, "CALLS": str(calls)}
    subprocess.run(command, env=environment, check=True)
    return calls.read_text().splitlines()


def test_teacher_serves_what_the_reference_was_fetched_to(tmp_path, valid):
    deployment, _ = map(valid, objects("teacher-1", SETTINGS, OWNER))
    fetched, *words = started(tmp_path, deployment["spec"]["template"]["spec"]["containers"][0], "teacher-1-x")
    assert fetched == "stillhouse fetch --paths hf://Qwen/QwQ-32B --for s3://house/questions/toy/1"
    assert words[:4] == ["serve", f"{tmp_path}/teacher-1-x.model of it", "--served-model-name", "qwq-32b"]
    assert "--nnodes" not in words


def test_teacher_of_several_nodes_has_a_leader_that_answers_and_workers(tmp_path, valid, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_RANKS_SERVICE", "house-ranks")
    first, second, service = map(valid, objects("teacher-1", R1, OWNER))

    assert [one["metadata"]["name"] for one in (first, second)] == ["teacher-1-0", "teacher-1-1"]
    assert service["spec"]["selector"] == {"stillhouse/teacher": "teacher-1", "apps.kubernetes.io/pod-index": "0"}
    spec, template = second["spec"], second["spec"]["template"]
    assert (spec["replicas"], spec["serviceName"], spec["podManagementPolicy"]) == (2, "house-ranks", "Parallel")
    labels = template["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert first["spec"]["selector"] != spec["selector"]
    assert labels["stillhouse/ranks"] == "true"
    [container] = template["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
    leader, worker = (started(tmp_path, container, f"teacher-1-1-{rank}") for rank in (0, 1))
    meet = ["--nnodes", "2", "--master-addr", "teacher-1-1-0.house-ranks", "--master-port", "29500"]
    for words in (leader, worker):
        assert " ".join(["--tensor-parallel-size", "8", "--pipeline-parallel-size", "2", *meet]) in " ".join(words)
    assert leader[-2:] == ["--node-rank", "0"]
    assert worker[-3:] == ["--node-rank", "1", "--headless"]
    assert container["livenessProbe"]["exec"]["command"][-1] == "http://teacher-1-1-0.house-ranks:8000/health"
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 7200


def test_teacher_of_several_nodes_is_made_awaited_and_deleted(cluster, running):
    for _ in range(2):
        teacher._start("qwq-32b", R1, "stop-qwq-32b")
    sets = [f"{running}-0", f"{running}-1"]
    assert (cluster.names("statefulsets"), cluster.names("services")) == (sets, [running])
    for name, healthy in zip(sets, (2, 1), strict=True):
        cluster.objects["statefulsets", name]["status"] = {"replicas": 2, "readyReplicas": healthy}
    assert teacher._ready("qwq-32b", "qwq-32b").is_done is False
    cluster.objects["statefulsets", sets[1]]["status"] = {"replicas": 2, "readyReplicas": 2}
    assert teacher._ready("qwq-32b", "qwq-32b").is_done is True
    teacher._stop("qwq-32b")
    assert cluster.names("statefulsets") == cluster.names("services") == []


def test_teacher_of_several_nodes_beyond_the_quota_says_so(cluster, running, capsys):
    teacher._start("qwq-32b", R1, "stop-qwq-32b")
    refused = 'create Pod failed: pods "x" is forbidden: exceeded quota: house-gpus'
    about = {"kind": "StatefulSet", "name": f"{running}-0", "namespace": "house"}
    event = {"metadata": {"name": "e"}, "type": "Warning", "reason": "FailedCreate", "message": refused, "involvedObject": about}
    cluster.add("events", event)
    for name in cluster.names("statefulsets"):
        cluster.objects["statefulsets", name]["status"] = {"replicas": 0}
    assert teacher._ready("qwq-32b", "qwq-32b").is_done is False
    assert f"FailedCreate: {refused}" in capsys.readouterr().out


def test_teacher_that_somebody_deleted_is_not_waited_for(cluster, running):
    with pytest.raises(AirflowFailException, match="is gone: somebody deleted it"):
        teacher._ready("qwq-32b", "qwq-32b")


def test_teacher_of_several_nodes_is_reaped_once_nothing_will_stop_it(cluster, running):
    teacher._start("qwq-32b", R1, "stop-qwq-32b")
    hook, namespace = serving._cluster()
    clients = {"core": hook.core_v1_client, "batch": hook.batch_v1_client, "apps": hook.apps_v1_client}
    assert reaper.reap(clients, namespace, lambda dag_id, run_id: {"stop-qwq-32b": "running"}) == []
    gone = reaper.reap(clients, namespace, lambda dag_id, run_id: {"stop-qwq-32b": "failed"})
    assert gone == [f"stateful set {running}-0", f"stateful set {running}-1", f"service {running}"]


@pytest.mark.parametrize("word", ["deepseek-r1-distill-qwen-1-5b-instruct-v2", "a"])
def test_name_of_a_teacher_leaves_room_for_what_a_stateful_set_adds(context, word):
    assert len(f"{serving.in_run(word, context['ti'])}-99") <= 52
    assert serving.in_run(word, context["ti"]) != serving.in_run(f"{word}x", context["ti"])


def test_teachers_text_is_data_that_airflow_does_not_render():
    with DAG("taught"):
        served = teacher.serve("r1", model="hf://a/b", arguments=["--override-generation-config", '{"a": {{ 7 * 7 }}}'])
    settings = served.start.operator.op_args[1]
    assert settings["arguments"][1] == """{{ '{"a": {{ 7 * 7 }}}' }}"""


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
        served = teacher.serve("QwQ-32B", model="hf://Qwen/QwQ-32B", gpus=2)
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


def replica(cluster, running: str, status: dict, age: timedelta = timedelta(hours=1)) -> None:
    """A pod of the teacher's deployment, as its controller would make it."""
    cluster.lives = [status]
    spec = {"containers": [{"name": "base", "resources": {"requests": {"nvidia.com/gpu": "2"}}}]}
    pod = cluster.add("pods", {"metadata": {"name": f"{running}-x", "labels": {"stillhouse/teacher": running}}, "spec": spec})
    pod["metadata"]["creationTimestamp"] = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def starting(cluster, running):
    teacher._start("qwq-32b", SETTINGS, "stop-qwq-32b")
    cluster.objects["deployments", running]["status"] = {}
    return running


def crashed(restarts: int) -> dict:
    last = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no such model: Qwen/QwQ-23B"}}
    waits = container(waiting={"reason": "CrashLoopBackOff", "message": "back-off 5m0s"})
    return {"phase": "Running", "containerStatuses": [waits | {"restartCount": restarts, "lastState": last}]}


def test_teacher_that_crashes_again_and_again_is_given_up_in_its_own_words(cluster, starting):
    replica(cluster, starting, crashed(restarts=3))
    with pytest.raises(AirflowFailException, match="base crashed 3 times, last with exit code 1: no such model: Qwen/QwQ-23B"):
        teacher._ready("qwq-32b", "qwq-32b")


def test_teacher_that_crashed_once_may_start_yet(cluster, starting):
    replica(cluster, starting, crashed(restarts=1))
    assert teacher._ready("qwq-32b", "qwq-32b").is_done is False


@pytest.mark.parametrize(("age", "given_up"), [(timedelta(minutes=2), False), (timedelta(minutes=11), True)])
def test_teacher_whose_image_cannot_be_pulled_is_given_up_after_ten_minutes(cluster, starting, age, given_up):
    waits = container(waiting={"reason": "ImagePullBackOff", "message": "not found: vllm:tpyo"})
    replica(cluster, starting, {"phase": "Pending", "containerStatuses": [waits]}, age)
    with pytest.raises(AirflowFailException, match="ImagePullBackOff: not found: vllm:tpyo") if given_up else nullcontext():
        assert teacher._ready("qwq-32b", "qwq-32b").is_done is False


def test_teacher_that_made_no_progress_is_given_up(cluster, starting):
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out progressing"}
    cluster.objects["deployments", starting]["status"] = {"conditions": [late]}
    with pytest.raises(AirflowFailException, match="ProgressDeadlineExceeded: has timed out progressing"):
        teacher._ready("qwq-32b", "qwq-32b")


def test_teacher_that_waits_for_a_node_says_so(cluster, starting, capsys):
    replica(cluster, starting, PENDING)
    assert teacher._ready("qwq-32b", "qwq-32b").is_done is False
    assert "no node had room for nvidia.com/gpu 2: 0/1 nodes: 1 Insufficient" in capsys.readouterr().out


def test_teacher_is_admitted_by_the_queue(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_QUEUE", "research")
    monkeypatch.setenv("STILLHOUSE_QUEUE_PRIORITY", "night")
    deployment, _ = objects("teacher-qwq-32b-1", SETTINGS, OWNER)
    admitted = {"kueue.x-k8s.io/queue-name": "research", "kueue.x-k8s.io/priority-class": "night"}
    assert deployment.metadata.labels.items() >= admitted.items()
    assert deployment.spec.template.metadata.labels.items() >= admitted.items()
