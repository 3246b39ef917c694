"""Why a pod does not start: in the cluster's words."""

from collections.abc import Sequence
from typing import Any

CANNOT_START = frozenset({
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName", "ErrImageNeverPull",
})  # fmt: skip
"""Reasons of a waiting container that time alone does not mend: a missing secret or key, a command or name that is wrong."""
CANNOT_START_S = 20.0
"""How long a pod may wait for these: a secret may arrive a moment after it."""
CANNOT_PULL = frozenset({"ErrImagePull", "ImagePullBackOff"})
CRASHES = "CrashLoopBackOff"
AWAITED = frozenset({"ContainerCreating", "PodInitializing"})


def explain(pod: Any) -> str:
    """What a pending pod waits for."""
    waiting = reason(pod)
    if waiting is not None:
        return f"the pod did not start: {waiting[0]}: {waiting[1]}"
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        requests = (pod.spec.containers[0].resources.requests or {}).items()
        needed = ", ".join(f"{name} {value}" for name, value in requests)
        return f"no node had room for {needed}: {scheduled.message}; add nodes, ask for less, or raise STILLHOUSE_PENDING_S"
    return "the pod was not started in time; its events are in the log above"


def gated(pod: Any) -> str | None:
    """Why a queue such as Kueue holds the pod back; None if none does."""
    scheduled = condition(pod, "PodScheduled")
    return scheduled.message or "" if scheduled is not None and scheduled.reason == "SchedulingGated" else None


def reason(pod: Any) -> tuple[str, str] | None:
    """The reason and message of the first container, of any kind, that waits for something else than its turn."""
    for status in statuses(pod):
        waiting = status.state and status.state.waiting
        if waiting is not None and waiting.reason and waiting.reason not in AWAITED:
            return waiting.reason, waiting.message or f"container {status.name}"
    return None


def failed_before_the_stage(pod: Any) -> str | None:
    """What an init container said that failed, so that the stage never began; None if none did."""
    for status in pod.status.init_container_statuses or ():
        end = status.state and status.state.terminated
        if end is not None and end.exit_code:
            return f"the init container {status.name} failed with exit code {end.exit_code}: {end.message or end.reason}"
    return None


def statuses(pod: Any) -> Sequence[Any]:
    """The statuses of all containers, init containers first."""
    return [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]


def condition(pod: Any, name: str) -> Any:
    """The pod's condition of this type; None without one."""
    return next((entry for entry in pod.status.conditions or () if entry.type == name), None)
