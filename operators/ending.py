"""How a pod began and ended, in one line, and whether trying again can help."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from stillhouse.errors import REFUSED

CONTAINER = "base"


class Ending(KubernetesPodOperatorCallback):
    """Called with a StagePod's pod before it is made and after it ended: a failure is deleted here and raised as what it was.

    A stage's own refusal (it left a termination message and was not ended from outside) fails the task at once, since the same
    input would be refused again. Everything else, a service out of reach too, is retried as the task says.
    """

    @staticmethod
    def on_pod_manifest_created(*, pod_request: Any, client: Any, operator: Any, context: Any, **_: Any) -> None:
        """Make the pod, or carry on with one that an earlier try left running: never with one that is on its way out.

        Such a one was deleted, as when the task was cleared, and has two minutes to end. Raises AirflowException where the cluster
        refuses the pod.
        """
        selector = operator._build_find_pod_label_selector(context)
        for pod in client.list_namespaced_pod(pod_request.metadata.namespace, label_selector=selector).items:
            if pod.metadata.deletion_timestamp:
                operator.patch_already_checked(pod, reraise=False)  # it may be gone by now
        with refusals():
            operator.pod = operator.get_or_create_pod(pod_request, context)

    @staticmethod
    def on_pod_completion(*, pod: Any, operator: Any, context: Any, **_: Any) -> None:
        """Raise AirflowFailException or AirflowException where the pod did not succeed."""
        said = explain(pod) or _overdue(operator, context)
        if said is None or succeeded(pod):
            return
        operator.process_pod_deletion(pod)
        operator.pod = None  # nothing is left for the operator's own end
        raise AirflowFailException(said) if refused(pod) else AirflowException(said)


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what the API server refuses, such as a pod beyond the quota, as AirflowException with its words alone."""
    from kubernetes.client.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        try:
            said = str(json.loads(error.body)["message"])
        except (TypeError, ValueError, KeyError):
            said = f"{error.status} {error.reason}"
        advice = "; ask for less, end what else runs, or raise the chart's capacity" if "exceeded quota" in said else ""
        msg = f"the cluster refused the pod: {said}{advice}"
        raise AirflowException(msg) from error


def succeeded(pod: Any) -> bool:
    """Whether the stage ended well, also where the pod still has to follow."""
    ended = _ended(pod)
    return pod.status.phase == "Succeeded" or (ended is not None and ended.exit_code == 0)


def refused(pod: Any) -> bool:
    """Whether the stage itself refused: exit code 1 with a message, and nobody ended the pod from outside."""
    ended = _ended(pod)
    disrupted = _condition(pod, "DisruptionTarget")
    outside = pod.status.reason or pod.metadata.deletion_timestamp or (disrupted and disrupted.status == "True")
    return bool(ended and ended.exit_code == REFUSED and ended.message and not outside)


def explain(pod: Any) -> str | None:
    """Why the pod failed or never started; None for one that runs or ended well."""
    ended = _ended(pod)
    if pod.status.reason:
        return f"the pod was ended from outside ({pod.status.reason}): {pod.status.message or 'no reason given'}; {RESUMES}"
    if ended is not None:
        return None if ended.exit_code == 0 else _explain_end(pod, ended)
    if pod.status.phase == "Failed":
        return f"the pod failed before its container ended; {RESUMES}"
    return _explain_waiting(pod) if pod.status.phase == "Pending" else None


RESUMES = "finished parts are kept, the next try goes on from them"


def _explain_end(pod: Any, ended: Any) -> str:
    if ended.reason == "OOMKilled":
        limit = (pod.spec.containers[0].resources.limits or {}).get("memory", "no limit")
        return f"out of memory: the stage was killed at its limit of {limit}; give it more, or smaller batches"
    if ended.message:
        return str(ended.message).strip()
    if ended.exit_code > 128:
        return f"the stage was killed by signal {ended.exit_code - 128} ({ended.reason}); {RESUMES}"
    return f"the stage crashed with exit code {ended.exit_code} ({ended.reason}); the traceback is in the log above"


def _explain_waiting(pod: Any) -> str:
    for status in pod.status.container_statuses or ():
        if status.state.waiting is not None and status.state.waiting.reason != "ContainerCreating":
            return f"the pod did not start: {status.state.waiting.reason}: {status.state.waiting.message}"
    scheduled = _condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        needed = (pod.spec.containers[0].resources.requests or {}).items()
        asked = ", ".join(f"{name} {value}" for name, value in needed)
        return f"no node had room for {asked}: {scheduled.message}; add nodes, ask for less, or raise STILLHOUSE_PENDING_S"
    return "the pod was not started in time; its events are in the log above"


def _overdue(operator: Any, context: Any) -> str | None:
    """Why a pod that still runs must end: the task's own limit."""
    limit = operator.execution_timeout
    if limit is None or datetime.now(UTC) < context["ti"].start_date + limit:
        return None
    return f"the stage ran longer than the task's execution_timeout of {limit}; {RESUMES}"


def _ended(pod: Any) -> Any:
    """The end of the stage's container; None while it has not ended."""
    states = [each.state for each in pod.status.container_statuses or () if each.name == CONTAINER]
    return states[0].terminated if states and states[0] else None


def _condition(pod: Any, name: str) -> Any:
    return next((each for each in pod.status.conditions or () if each.type == name), None)
