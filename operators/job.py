"""A stage on several nodes at once: one indexed Job, whose pods meet by torchrun."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import ClientError
from airflow.providers.cncf.kubernetes.exceptions import KubernetesApiError
from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from airflow.providers.cncf.kubernetes.triggers.job import KubernetesJobTrigger
from airflow.providers.cncf.kubernetes.utils.pod_manager import AsyncPodManager
from airflow.triggers.base import TriggerEvent
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException
from kubernetes_asyncio.client import ApiException as AsyncApiException
from kubernetes_asyncio.client import BatchV1Api, CoreV1Api
from urllib3.exceptions import HTTPError

from operators import events, pod_outcome, podspec, ranks
from operators.command_line import DOLLAR, NO_INPUTS, NO_RESOURCES, Inputs, Text, arguments
from operators.links import LINKS
from operators.placement import GPU
from operators.retries import Outage
from operators.templates import as_template

INDEX = "batch.kubernetes.io/job-completion-index"


class StageJob(KubernetesJobOperator):
    """Run ``stillhouse STAGE …`` on ``nodes`` nodes; the arguments, the pods' rights and the ends are StagePod's.

    With a Kueue queue the Job is admitted as a whole. The first pod that fails ends the Job. The Job is deleted when the task ends.
    The task's log follows rank 0 while it runs, and gets the other ranks' logs at the end.
    """

    template_fields: Sequence[str] = (*KubernetesJobOperator.template_fields, "target")
    ui_color = "#e8f1e4"
    operator_extra_links = LINKS

    def __init__(
        self, *, stage: str, recipe: Text, target: Text, nodes: int, overrides: Text = "{}", inputs: Inputs = NO_INPUTS,
        parent_run: Text = "", variables: Mapping[str, Text] = NO_RESOURCES,
        resources_needed: Mapping[str, str] = NO_RESOURCES, pod: Mapping[str, Any] = NO_RESOURCES, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.target = as_template(target)
        processes = int(resources_needed.get(GPU, 1))
        threads = int(resources_needed.get("cpu", 1)) // processes
        options = podspec.options(stage, resources_needed, as_template(parent_run), threads, kwargs.get("image", ""))
        options["labels"] |= ranks.LABEL
        options["env_vars"] |= {name: as_template(value) for name, value in variables.items()}
        options |= podspec.further(pod, options)
        options["post_execute"] = events.announce
        limit = kwargs.get("execution_timeout")
        super().__init__(
            cmds=arguments(
                stage, recipe, overrides, inputs, target, dollar=DOLLAR, processes=processes, rendezvous=ranks.rendezvous(nodes)
            ),
            completion_mode="Indexed", completions=nodes, parallelism=nodes,
            backoff_limit=0, subdomain=ranks.service(), pod_runtime_info_envs=[_job_name()], wait_until_job_complete=True,
            active_deadline_seconds=int(limit.total_seconds()) if limit else None, deferrable=True, do_xcom_push=False,
            **podspec.rights(), **(options | kwargs),
        )  # fmt: skip

    def execute(self, context: Any) -> None:
        """Start the Job, or carry on with one that an earlier try left running, and defer until it ends."""
        request = self.build_job_request_obj(context)
        request.metadata.labels = request.metadata.labels | self._get_ti_pod_labels(context, include_try_number=False)
        with pod_outcome.refusals():
            self.job = self._left_running(request.metadata.namespace, context) or self.create_job(request)
        trigger = StageJobTrigger(
            job_name=self.job.metadata.name, job_namespace=self.job.metadata.namespace, pod_names=[],
            pod_namespace=self.job.metadata.namespace, base_container_name=self.base_container_name, get_logs=False,
            kubernetes_conn_id=self.kubernetes_conn_id, cluster_context=self.cluster_context, config_file=self.config_file,
            in_cluster=self.in_cluster, poll_interval=self.job_poll_interval,
        )  # fmt: skip
        self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Any, event: dict[str, Any], **_: Any) -> None:
        """Log what the ranks wrote, delete the Job, and raise the failure of the rank that says most."""
        name, namespace = event["name"], event["namespace"]
        pods = self.client.list_namespaced_pod(namespace, label_selector=f"batch.kubernetes.io/job-name={name}").items
        try:
            for pod in sorted(pods, key=_rank):
                self._write_rank(pod, event["read_until"] if _rank(pod) == 0 else None)
        finally:
            self.job_client.delete_namespaced_job(name, namespace, propagation_policy="Background")
        if event["status"] != "success":
            raise _failure(pods, event["message"])

    def _write_rank(self, pod: Any, since: Any) -> None:
        """Log what the rank wrote. The log of a lost node or of a container that never started cannot be read."""
        self.log.info("rank %d, %s:", _rank(pod), pod.metadata.name)
        try:
            self._write_logs(pod, since_time=since)
        except (ApiException, HTTPError) as error:
            self.log.warning("its log cannot be read: %s", getattr(error, "reason", error))

    def _left_running(self, namespace: str, context: Any) -> k8s.V1Job | None:
        selector = self._build_find_pod_label_selector(context, exclude_checked=False)
        jobs = self.job_client.list_namespaced_job(namespace, label_selector=selector).items
        running = [job for job in jobs if not (job.metadata.deletion_timestamp or self.hook.is_job_failed(job))]
        return next(iter(running), None)


class StageJobTrigger(KubernetesJobTrigger):
    """Waits for the end of a Job and follows rank 0's log; marking or clearing the task deletes the Job and its pods."""

    read_until: Any = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Under this module's name: the provider's trigger would leave the Job running."""
        return "operators.job.StageJobTrigger", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """How the Job ended, and up to when rank 0's log was read."""
        following = asyncio.create_task(self._follow())
        try:
            async for event in super().run():
                yield TriggerEvent(event.payload | {"read_until": self.read_until})
        finally:
            following.cancel()

    async def _follow(self) -> None:
        """Log what rank 0 wrote since the last look. What cannot be read now is read at the end."""
        manager = AsyncPodManager(self.hook, callbacks=[])
        first = f"batch.kubernetes.io/job-name={self.job_name},{INDEX}=0"
        while True:
            with suppress(AsyncApiException, ClientError, KubernetesApiError, TimeoutError):
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


def _job_name() -> k8s.V1EnvVar:
    source = k8s.V1ObjectFieldSelector(field_path="metadata.labels['batch.kubernetes.io/job-name']")
    return k8s.V1EnvVar(name="JOB_NAME", value_from=k8s.V1EnvVarSource(field_ref=source))


def _rank(pod: Any) -> int:
    return int((pod.metadata.labels or {}).get(INDEX, 0))


def _failure(pods: Sequence[Any], message: str) -> Exception:
    """The failure of the rank that says most: a refusal before a lost pod, and that before the crashes of its peers."""
    ended = {_rank(pod): pod for pod in pods if pod_outcome.explain(pod)}
    order = {rank: (not pod_outcome.refused(pod), not pod_outcome.lost(pod), rank) for rank, pod in ended.items()}
    rank = min(order, key=order.__getitem__, default=None)
    failure: Exception = Outage(f"{message}; {pod_outcome.RESUMES}")
    if rank is not None:
        failure = pod_outcome.error(ended[rank], f"rank {rank}: {pod_outcome.explain(ended[rank])}")
    return failure
