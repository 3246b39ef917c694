import pytest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

from operators.placement import cpu, gpu
from operators.pod import StagePod

GIVEN = {"task_id": "sft-1", "stage": "sft", "recipe": "@laptop/sft-1", "target": "s3://b/sft/laptop-1/1", "parent_run": "r1"}
CLUSTER = """
apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: none, user: {}}]
"""


@pytest.fixture
def make(monkeypatch, tmp_path):
    (tmp_path / "config").write_text(CLUSTER)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setenv("STILLHOUSE_IMAGES", "registry.example/stillhouse")
    monkeypatch.setenv("STILLHOUSE_TAG", "1.2")

    def made(**options):
        return StagePod(config_file=str(tmp_path / "config"), **(GIVEN | options))

    return made


def test_pod_overrides_nothing_but_init():
    own = {name for name in vars(StagePod) if not name.startswith("__")}
    assert {name for name in own if callable(getattr(KubernetesPodOperator, name, None))} == set()


def test_pod_runs_the_stage_with_its_placement(make):
    task = make(inputs={"selected": "s3://b/selected/laptop/1"}, **gpu(2))
    container = task.build_pod_request_obj().spec.containers[0]

    assert container.command == [
        "stillhouse", "sft", "--config", "@laptop/sft-1", "--input", "selected=s3://b/selected/laptop/1",
        "--output", "s3://b/sft/laptop-1/1",
    ]  # fmt: skip
    assert container.image == "registry.example/stillhouse/train:1.2"
    assert container.resources.limits == {"nvidia.com/gpu": "2", "cpu": "16", "memory": "192Gi"}
    assert (task.pool, task.pool_slots) == ("gpu", 2)


def test_pod_environment_reaches_mlflow_and_the_parent_run(make):
    variables = {each.name: each.value for each in make(**cpu(3)).build_pod_request_obj().spec.containers[0].env}
    assert variables["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert variables["MLFLOW_RUN_ID"] == "r1"
    assert variables["OMP_NUM_THREADS"] == "3"


def test_pod_has_no_rights(make):
    spec = make(**cpu(1)).build_pod_request_obj().spec
    container = spec.containers[0].security_context

    assert spec.automount_service_account_token is False
    assert spec.security_context.run_as_non_root is True
    assert spec.security_context.seccomp_profile.type == "RuntimeDefault"
    assert container.read_only_root_filesystem is True
    assert container.allow_privilege_escalation is False
    assert container.capabilities.drop == ["ALL"]


def test_pod_is_deferred_and_pushes_nothing(make):
    task = make(**cpu(1))
    assert task.deferrable is True
    assert task.do_xcom_push is False
    assert task.on_finish_action.value == "delete_succeeded_pod"


def test_pod_takes_what_the_process_takes(make):
    from operators.process import StageProcess

    options = {"overrides": "{}", "inputs": {"selected": ["a", "b"]}, **cpu(1)}
    pod = make(**options)
    assert pod.cmds == StageProcess(**(GIVEN | options)).cmds
