"""How a stage's pod began and ended: in one line, and as the kind of failure that ``retries`` goes by."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from operators import pod_waiting
from operators.retries import Outage, passes
from stillhouse.errors import REFUSED, TRY_AGAIN

CONTAINER = "base"
RESUMES = "finished parts are kept, the next try goes on from them"
OVERDUE = "DeadlineExceeded"
LONGER = "the chart's stages.timeLimitFactor gives more, or 0 for no limit"
ENDED_BY_SIGNAL = (130, 137, 143)
"""Exit codes of SIGINT, SIGKILL and SIGTERM: somebody ended the stage. Other signals are its own crash."""


class PodOutcome(KubernetesPodOperatorCallback):
    """Called with a StagePod's pod before it is created and after it ended. A failed pod is deleted and its failure raised.

    A stage refused if it left a termination message with exit code 1 and nobody ended it from outside.
    """

    @staticmethod
    def on_pod_manifest_created(*, pod_request: Any, client: Any, operator: Any, context: Any, **_: Any) -> None:
        """Create the pod, or carry on with one that an earlier try left running, but not with one that is being deleted.

        A pod is deleted when its task is cleared, and has two minutes to end. Raises what the cluster refuses, see ``refusals``.
        """
        selector = operator._build_find_pod_label_selector(context)
        for pod in client.list_namespaced_pod(pod_request.metadata.namespace, label_selector=selector).items:
            if pod.metadata.deletion_timestamp:
                operator.patch_already_checked(pod, reraise=False)  # it may be gone by now
        with refusals():
            operator.pod = operator.get_or_create_pod(pod_request, context)

    @staticmethod
    def on_pod_completion(*, pod: Any, operator: Any, context: Any, **_: Any) -> None:
        """Raise the ``error`` of a pod that did not succeed."""
        text = explain(pod) or _overdue(operator, context)
        if text is None or succeeded(pod):
            return
        operator.process_pod_deletion(pod)
        operator.pod = None  # the operator's own cleanup finds nothing to delete
        raise error(pod, text)


@contextmanager
def refusals() -> Iterator[None]:
    """Raise the API server's refusals in its own words: Outage for a full quota or a busy server, else AirflowFailException."""
    from kubernetes.client.exceptions import ApiException

    try:
        yield
    except ApiException as failure:
        try:
            text = str(json.loads(failure.body)["message"])
        except (TypeError, ValueError, KeyError):
            text = f"{failure.status} {failure.reason}"
        full = "exceeded quota" in text
        advice = "; ask for less, end what else runs, or raise the chart's capacity" if full else ""
        msg = f"the cluster refused the pod: {text}{advice}"
        raise (Outage if full or passes(failure) else AirflowFailException)(msg) from failure


def succeeded(pod: Any) -> bool:
    """Whether the stage ended well, even if the pod has not ended yet."""
    ended = _ended(pod)
    return pod.status.phase == "Succeeded" or (ended is not None and ended.exit_code == 0)


def refused(pod: Any) -> bool:
    """Whether the stage itself refused."""
    ended = _ended(pod)
    return bool(ended and ended.exit_code == REFUSED and ended.message and not _ended_from_outside(pod))


def lost(pod: Any) -> bool:
    """Whether the pod was evicted, preempted or deleted, or its stage was killed or found a service away."""
    ended = _ended(pod)
    if pod.status.reason == OVERDUE:
        return False
    if ended is None:
        return _ended_from_outside(pod) or pod.status.phase == "Failed"
    if ended.reason == "OOMKilled":
        return False
    return _ended_from_outside(pod) or ended.exit_code in {TRY_AGAIN, *ENDED_BY_SIGNAL}


def error(pod: Any, text: str) -> AirflowException:
    """The failure of a pod, as the kind that ``retries`` goes by."""
    if refused(pod):
        return AirflowFailException(text)
    return Outage(text) if lost(pod) else AirflowException(text)


def explain(pod: Any) -> str | None:
    """Why the pod failed or never started; None for a pod that runs or ended well."""
    ended = _ended(pod)
    if pod.status.reason == OVERDUE:
        hours = (pod.spec.active_deadline_seconds or 0) / 3600
        return f"the pod ran longer than its limit of {hours:.1f} hours, many times the plan's: it may hang; {RESUMES}; {LONGER}"
    if pod.status.reason:
        return f"the pod was ended from outside ({pod.status.reason}): {pod.status.message or 'no reason given'}; {RESUMES}"
    if ended is not None:
        return None if ended.exit_code == 0 else _explain_end(pod, ended)
    if pod.status.phase == "Failed":
        return f"{pod_waiting.failed_before_the_stage(pod) or 'the pod failed before its container ended'}; {RESUMES}"
    return pod_waiting.explain(pod) if pod.status.phase == "Pending" else None


def _explain_end(pod: Any, ended: Any) -> str:
    if ended.reason == "OOMKilled":
        limit = (pod.spec.containers[0].resources.limits or {}).get("memory", "no limit")
        return f"out of memory: the stage was killed at its limit of {limit}; give it more, or smaller batches"
    if ended.message:
        return str(ended.message).strip()
    if ended.exit_code > 128:
        return f"the stage was killed by signal {ended.exit_code - 128} ({ended.reason}); {RESUMES}"
    return f"the stage crashed with exit code {ended.exit_code} ({ended.reason}); the traceback is in the log above"


def _overdue(operator: Any, context: Any) -> str | None:
    """Why a pod that still runs must end: the task's own limit."""
    limit = operator.execution_timeout
    if limit is None or datetime.now(UTC) < context["ti"].start_date + limit:
        return None
    return f"the stage ran longer than the task's execution_timeout of {limit}; {RESUMES}"


def _ended_from_outside(pod: Any) -> bool:
    """Whether the cluster or a person ended the pod."""
    disrupted = pod_waiting.condition(pod, "DisruptionTarget")
    return bool(pod.status.reason or pod.metadata.deletion_timestamp or (disrupted and disrupted.status == "True"))


def _ended(pod: Any) -> Any:
    """The end of the stage's container; None until it ended."""
    states = [status.state for status in pod.status.container_statuses or () if status.name == CONTAINER]
    return states[0].terminated if states and states[0] else None
