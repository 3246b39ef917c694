import pytest
from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

from operators.placement import cpu
from operators.pod import StagePod
from operators.reaper import ALIVE, reap

RUN = "manual__2026-11-24T00:00:00+00:00"


@pytest.fixture
def clients(cluster):
    hook = KubernetesHook(conn_id=KubernetesHook.default_conn_name)
    return {"core": hook.core_v1_client, "batch": hook.batch_v1_client, "apps": hook.apps_v1_client}


@pytest.fixture
def leave(cluster, context, monkeypatch):
    """Leave a stage's pod behind, as an operator makes it; returns its name."""

    def left(task: str = "graded", map_index: int = -1) -> str:
        context["ti"].task_id, context["ti"].map_index = task, map_index
        operator = StagePod(task_id=task, stage="graded", recipe="@toy/graded", target="s3://b/graded/toy/1", **cpu(1))
        operator.render_template_fields(context)
        pod = operator.build_pod_request_obj(context)
        operator.client.create_namespaced_pod("house", pod)
        return pod.metadata.name

    return left


def states(**given):
    return lambda dag_id, run_id: given if (dag_id, run_id) == ("retrain", RUN) else {}


@pytest.mark.parametrize("state", sorted(ALIVE))
def test_pod_of_a_living_task_is_left_alone(cluster, clients, leave, state):
    pod = leave()
    assert reap(clients, "house", states(graded=state)) == []
    assert cluster.names("pods") == [pod]


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "upstream_failed", "removed", None])
def test_pod_of_a_task_that_ended_or_was_cleared_is_deleted(cluster, clients, leave, state):
    pod = leave()
    assert reap(clients, "house", states(graded=state)) == [f"pod {pod}"]
    assert cluster.names("pods") == []


def test_pod_of_a_deleted_run_is_deleted(cluster, clients, leave):
    leave()
    reap(clients, "house", lambda dag_id, run_id: {})
    assert cluster.names("pods") == []


def test_pod_on_its_way_out_is_not_deleted_again(cluster, clients, leave):
    cluster.objects["pods", leave()]["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    assert reap(clients, "house", states(graded="failed")) == []


def test_pod_that_begins_while_states_are_asked_is_left_alone(cluster, clients, leave):
    """A Job is listed before pods are; the states of its run are asked once."""
    job = {"name": "old", "labels": {"app.kubernetes.io/part-of": "stillhouse", "app.kubernetes.io/component": "stage"}}
    owner = {"dag-id": "retrain", "run-id": RUN, "task-id": "sft-1", "map-index": "-1"}
    cluster.add("jobs", {"metadata": job | {"annotations": {f"stillhouse/{name}": value for name, value in owner.items()}}})
    begun = []

    def asked(dag_id, run_id):
        begun.append(leave())
        return {"sft-1": "failed", "graded": None}

    assert reap(clients, "house", asked) == ["job old"]
    assert cluster.names("pods") == begun


def test_pods_of_mapped_tasks_are_told_apart(cluster, clients, leave):
    leave("report", 0)
    kept = leave("report", 1)
    reap(clients, "house", states(report_0="success", report_1="deferred"))
    assert cluster.names("pods") == [kept]


def test_pods_of_others_are_left_alone(cluster, clients):
    cluster.add("pods", {"metadata": {"name": "theirs", "labels": {"app": "web"}, "annotations": {"stillhouse/run-id": "x"}}})
    cluster.add("pods", {"metadata": {"name": "mlflow", "labels": {"app.kubernetes.io/part-of": "stillhouse"}}})
    assert reap(clients, "house", states()) == []
    assert cluster.names("pods") == ["mlflow", "theirs"]


def test_pod_that_went_by_itself_is_no_error(cluster, clients, leave, monkeypatch):
    leave()
    monkeypatch.setattr(cluster, "answer", _without_deletes(cluster.answer))
    assert reap(clients, "house", states()) == []


def _without_deletes(answer):
    return lambda method, path, body: (404, {}) if method == "DELETE" else answer(method, path, body)


def test_states_of_a_run_are_asked_for_once(clients, leave):
    leave("report", 0)
    leave("report", 1)
    asked = []
    reap(clients, "house", lambda *run: asked.append(run) or {})
    assert asked == [("retrain", RUN)]


def test_reaper_dag_is_there_on_a_cluster_alone(monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("STILLHOUSE_RUNNER", "process")
    assert DagBag("dags/reaper.py", collect_dags=True).dags == {}
    monkeypatch.delenv("STILLHOUSE_RUNNER")
    bag = DagBag("dags/reaper.py", collect_dags=True)
    assert bag.import_errors == {}
    assert bag.dags["reaper"].task_ids == ["reap"]
