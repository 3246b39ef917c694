"""Delete what stages left on the cluster once no living task owns it: after a killed scheduler, a lost triggerer, a deleted run.

A task that ends deletes its own pod; the reaper is for the ends that nobody saw. Annotations name the owner (``podspec.OWNER``).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

ALIVE = frozenset({"scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"})
"""States of a task that still needs its pod. A retry carries on with the pod of the try before it, so waiting for one is alive."""
NOT_YET = "not yet scheduled"
SELECTOR = "app.kubernetes.io/part-of=stillhouse,app.kubernetes.io/component in (stage,teacher)"
GONE = 404

States = Callable[[str, str], Mapping[str, str | None]]
"""``states(dag_id, run_id)``: the state of every task instance of a run, by task id, mapped ones by ``{task_id}_{map_index}``."""


def reap(clients: Mapping[str, Any], namespace: str, states: States, release: str = "") -> list[str]:
    """Delete every orphan of this release; returns the names. ``clients`` has the APIs ``core``, ``batch`` and ``apps``."""
    known = cache(states)
    # List all objects before any state is read: an object younger than the states would look like an orphan.
    selector = f"{SELECTOR},app.kubernetes.io/instance={release}" if release else SELECTOR
    owned = list(_owned(clients, namespace, selector))
    orphans = [(kind, body, delete) for kind, body, delete in owned if not _alive(body, known)]
    return [f"{kind} {body.metadata.name}" for kind, body, delete in orphans if _deleted(delete, body, namespace)]


def _owned(clients: Mapping[str, Any], namespace: str, selector: str) -> Iterator[tuple[str, Any, Callable[..., Any]]]:
    """Everything of stages and teachers that is not being deleted yet, with the call that deletes it.

    Jobs, deployments and stateful sets delete their pods.
    """
    core, batch, apps = clients["core"], clients["batch"], clients["apps"]
    kinds = [
        ("job", batch.list_namespaced_job, batch.delete_namespaced_job),
        ("deployment", apps.list_namespaced_deployment, apps.delete_namespaced_deployment),
        ("stateful set", apps.list_namespaced_stateful_set, apps.delete_namespaced_stateful_set),
        ("service", core.list_namespaced_service, core.delete_namespaced_service),
        ("pod", core.list_namespaced_pod, core.delete_namespaced_pod),
    ]
    for kind, listed, delete in kinds:
        for body in listed(namespace, label_selector=selector).items:
            meta = body.metadata
            if not (meta.owner_references or meta.deletion_timestamp) and "stillhouse/run-id" in (meta.annotations or {}):
                yield kind, body, delete


def _alive(body: Any, states: States) -> bool:
    owner = {name.removeprefix("stillhouse/"): value for name, value in body.metadata.annotations.items()}
    task, index = owner["task-id"], int(owner["map-index"])
    state = states(owner["dag-id"], owner["run-id"]).get(task if index < 0 else f"{task}_{index}", "removed") or NOT_YET
    # A teacher is owned by the task that ends it, which has no state before its turn. A stage without one was cleared.
    serves = body.metadata.labels.get("app.kubernetes.io/component") == "teacher"
    return state in ALIVE or (serves and state == NOT_YET)


def _deleted(delete: Callable[..., Any], body: Any, namespace: str) -> bool:
    """Delete the object with all it owns; False if it was gone already."""
    from kubernetes.client.exceptions import ApiException

    try:
        delete(body.metadata.name, namespace, propagation_policy="Background")
    except ApiException as error:
        if error.status != GONE:
            raise
        return False
    return True
