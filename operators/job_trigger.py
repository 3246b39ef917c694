"""Waits for the end of a Job without a worker, says what holds it up, and gives up on a rank that never starts."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import ClientError
from airflow.providers.cncf.kubernetes.exceptions import KubernetesApiError
from airflow.providers.cncf.kubernetes.triggers.job import KubernetesJobTrigger
from airflow.providers.cncf.kubernetes.utils.pod_manager import AsyncPodManager
from airflow.triggers.base import TriggerEvent
from kubernetes_asyncio.client import ApiException, BatchV1Api, CoreV1Api

from operators import pod_waiting
from operators.podspec import INDEX

PENDING = "pending"
"""The status of a Job that was given up before all its ranks had started."""
GONE = 404
PASSING = (ApiException, ClientError, KubernetesApiError, TimeoutError)


class StageJobTrigger(KubernetesJobTrigger):
    """Waits for the end of a Job and follows rank 0's log; marking or clearing the task deletes the Job and its pods.

    ``pending_s`` is how long ranks may wait for nodes, quota or admission control, not counting the time that a queue holds the
    Job back. An API server that does not answer is asked again until it does.
    """

    read_until: Any = None
    cannot_start_s = pod_waiting.CANNOT_START_S

    def __init__(self, *, pending_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pending_s = pending_s
        self._told: set[str] = set()
        self._waits_since: float | None = None
        self._refused_since: float | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Under this module's name."""
        return "operators.job_trigger.StageJobTrigger", super().serialize()[1] | {"pending_s": self.pending_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """How the Job ended, and up to when rank 0's log was read."""
        following = asyncio.create_task(self._follow())
        try:
            status, message = await self._end()
            ended = {"name": self.job_name, "namespace": self.job_namespace, "status": status, "message": message}
            yield TriggerEvent(ended | {"read_until": self.read_until})
        finally:
            following.cancel()

    async def _end(self) -> tuple[str, str]:
        while True:
            try:
                job, pods, events = await self._look()
            except PASSING as error:
                if getattr(error, "status", None) == GONE:
                    return "error", "somebody deleted the Job"
                self._tell(f"the API server does not answer: {getattr(error, 'reason', None) or error}; asking again")
            else:
                end = self._judge(job, pods, events)
                if end is not None:
                    return end
            await asyncio.sleep(self.poll_interval)

    async def _look(self) -> tuple[Any, Sequence[Any], Sequence[Any]]:
        """The Job, its pods, and the warnings about it."""
        async with self.hook.get_conn() as connection:
            batch, core = BatchV1Api(connection), CoreV1Api(connection)
            job = await batch.read_namespaced_job_status(self.job_name, self.job_namespace)
            labelled = f"batch.kubernetes.io/job-name={self.job_name}"
            pods = await core.list_namespaced_pod(self.job_namespace, label_selector=labelled)
            about = f"involvedObject.kind=Job,involvedObject.name={self.job_name},type=Warning"
            events = await core.list_namespaced_event(self.job_namespace, field_selector=about)
        return job, pods.items, [event for event in events.items if event.involved_object.name == self.job_name]

    def _judge(self, job: Any, pods: Sequence[Any], events: Sequence[Any]) -> tuple[str, str] | None:
        """The end of the Job, or None while it waits or runs."""
        if failed := self.hook.is_job_failed(job=job):
            return "error", f"Job failed with error: {failed}"
        if self.hook.is_job_complete(job=job):
            return "success", "Job completed successfully"
        started = [pod for pod in pods if pod.status.phase not in {None, "Pending"}]
        if job.spec.suspend or len(started) >= job.spec.completions:
            self._waits_since = self._refused_since = None
            if job.spec.suspend:
                self._tell("the queue has not admitted the Job")
            return None
        return self._waits(pods, events, len(started), job.spec.completions)

    def _waits(self, pods: Sequence[Any], events: Sequence[Any], started: int, ranks: int) -> tuple[str, str] | None:
        """Say what the ranks wait for; the end of the wait, once it took too long."""
        now = time.monotonic()
        self._waits_since = self._waits_since or now
        pending = [pod for pod in pods if pod.status.phase in {None, "Pending"}]
        reasons = [f"{event.reason}: {event.message}" for event in events]
        reasons += [f"{pod.metadata.name}: {pod_waiting.explain(pod)}" for pod in pending if _says_why(pod)]
        for reason in reasons:
            self._tell(reason)
        refused = [pod for pod in pending if (pod_waiting.reason(pod) or ("", ""))[0] in pod_waiting.CANNOT_START]
        self._refused_since = (self._refused_since or now) if refused else None
        why = reasons[-1] if reasons else "the cluster gives no reason"
        if self._refused_since is not None and now - self._refused_since >= self.cannot_start_s:
            return PENDING, f"{pod_waiting.explain(refused[0])}"
        if now - self._waits_since >= self.pending_s:
            return PENDING, f"{started} of {ranks} ranks started in {self.pending_s:.0f} s: {why}"
        return None

    def _tell(self, text: str) -> None:
        """Write to the task's log, once."""
        if text not in self._told:
            self._told.add(text)
            self.log.warning("%s", text)

    async def _follow(self) -> None:
        """Log what rank 0 wrote since the last look. What cannot be read now is read at the end."""
        manager = AsyncPodManager(self.hook, callbacks=[])
        first = f"batch.kubernetes.io/job-name={self.job_name},{INDEX}=0"
        while True:
            with suppress(*PASSING):
                async with self.hook.get_conn() as connection:
                    pods = await CoreV1Api(connection).list_namespaced_pod(self.job_namespace, label_selector=first)
                for pod in [pod for pod in pods.items if pod.status.phase not in {None, "Pending"}]:
                    self.read_until = await manager.fetch_container_logs_before_current_sec(
                        pod, container_name=self.base_container_name, since_time=self.read_until
                    )
            await asyncio.sleep(self.poll_interval)

    async def on_kill(self) -> None:
        """Delete the Job; the pods follow."""
        async with self.hook.get_conn() as connection:
            api = BatchV1Api(connection)
            await api.delete_namespaced_job(self.job_name, self.job_namespace, propagation_policy="Background")


def _says_why(pod: Any) -> bool:
    """Whether the cluster says why the pod has not started."""
    scheduled = pod_waiting.condition(pod, "PodScheduled")
    return pod_waiting.reason(pod) is not None or (scheduled is not None and scheduled.status == "False")
