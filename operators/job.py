"""A stage on several nodes at once: one indexed Job, whose pods meet by torchrun."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from airflow.sdk.exceptions import AirflowException
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from operators import events, pod_outcome, pod_overrides, podspec, ranks, time_limits
from operators.command_line import DOLLAR, NO_INPUTS, NO_RESOURCES, Inputs, Text, arguments
from operators.job_trigger import PENDING, StageJobTrigger
from operators.links import LINKS
from operators.placement import GPU, pending_s
from operators.retries import Outage
from operators.templates import as_template
from stillhouse.execution.command import relaunched

GONE = 404


class StageJob(KubernetesJobOperator):
    """Run ``stillhouse STAGE …`` on ``nodes`` nodes; the arguments, the pods' rights and the ends are StagePod's.

    With a Kueue queue the Job is admitted as a whole. The first pod that fails, or that the cluster takes away, ends the Job. So
    does a rank that has not started in time: the others would hold their GPUs for it. The Job is deleted when the task ends. The
    task's log follows rank 0 while it runs, says what the cluster refuses or delays, and gets the other ranks' logs at the end.
    """

    template_fields: Sequence[str] = (*KubernetesJobOperator.template_fields, "target", "placing", "limit")
    ui_color = "#e8f1e4"
    cmds: list[str]
    env_vars: list[k8s.V1EnvVar]
    operator_extra_links = LINKS

    def __init__(
        self, *, stage: str, recipe: Text, target: Text, nodes: int, overrides: Text = "{}", inputs: Inputs = NO_INPUTS,
        parent_run: Text = "", variables: Mapping[str, Text] = NO_RESOURCES,
        resources_needed: Mapping[str, str] = NO_RESOURCES, pod: Mapping[str, Any] = NO_RESOURCES,
        placing: Text = "", limit: Text = "", **kwargs: Any,
    ) -> None:  # fmt: skip
        self.stage, self.target, self.patch = stage, as_template(target), podspec.patch(pod)
        self.placing, self.limit = as_template(placing), as_template(limit)
        processes = int(resources_needed.get(GPU, 1))
        threads = int(resources_needed.get("cpu", 1)) // processes
        options = podspec.options(stage, resources_needed, as_template(parent_run), threads, kwargs.get("image", ""))
        options["labels"] |= ranks.LABEL
        options["env_vars"] |= {name: as_template(value) for name, value in variables.items()}
        options["post_execute"] = events.announce
        timeout = kwargs.get("execution_timeout")
        super().__init__(
            cmds=arguments(
                stage, recipe, overrides, inputs, target, dollar=DOLLAR, processes=processes, rendezvous=ranks.rendezvous(nodes)
            ),
            completion_mode="Indexed", completions=nodes, parallelism=nodes,
            backoff_limit=0, subdomain=ranks.service(), pod_runtime_info_envs=[_job_name()], wait_until_job_complete=True,
            active_deadline_seconds=int(timeout.total_seconds()) if timeout else None, deferrable=True, do_xcom_push=False,
            **podspec.rights(), **(options | kwargs),
        )  # fmt: skip

    def build_job_request_obj(self, context: Any = None) -> k8s.V1Job:
        """The provider's Job, with what cluster and profile add to its pods; it ends at once when the cluster takes one away.

        A new pod in its place, as an index of its own, could not join: the other ranks' processes end with the lost one.
        """
        if self.placing:
            self._place(**json.loads(self.placing))
        job = super().build_job_request_obj(context)
        disrupted = k8s.V1PodFailurePolicyOnPodConditionsPattern(type="DisruptionTarget", status="True")
        rule = k8s.V1PodFailurePolicyRule(action="FailJob", on_pod_conditions=[disrupted])
        job.metadata.annotations = (job.metadata.annotations or {}) | podspec.volcano(job.spec.completions)
        job.spec.template.spec.active_deadline_seconds = time_limits.seconds(self.limit)
        job.spec.template = pod_overrides.applied_to_template(job.spec.template, self.stage, self.patch)
        job.spec.pod_failure_policy = k8s.V1PodFailurePolicy(rules=[rule])
        return job

    def _place(self, resources: dict[str, str], nodes: int) -> None:
        """Take other nodes and resources than the profile's."""
        processes = int(resources[GPU])
        self.completions = self.parallelism = nodes
        self.container_resources = podspec.requirements(resources)
        self.env_vars = podspec.with_threads(self.env_vars, max(1, int(float(resources["cpu"])) // processes))
        self.cmds = relaunched(self.cmds, processes, ranks.rendezvous(nodes))

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
            in_cluster=self.in_cluster, poll_interval=self.job_poll_interval, pending_s=pending_s(),
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
            self._delete(name, namespace)
        if event["status"] == PENDING:
            raise AirflowException(event["message"])
        if event["status"] != "success":
            raise _failure(pods, event["message"])

    def _delete(self, name: str, namespace: str) -> None:
        """Delete the Job and its pods. Somebody else may have been faster."""
        try:
            self.job_client.delete_namespaced_job(name, namespace, propagation_policy="Background")
        except ApiException as error:
            if error.status != GONE:
                raise

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


def _job_name() -> k8s.V1EnvVar:
    source = k8s.V1ObjectFieldSelector(field_path="metadata.labels['batch.kubernetes.io/job-name']")
    return k8s.V1EnvVar(name="JOB_NAME", value_from=k8s.V1EnvVarSource(field_ref=source))


def _rank(pod: Any) -> int:
    return int((pod.metadata.labels or {}).get(podspec.INDEX, 0))


def _failure(pods: Sequence[Any], message: str) -> Exception:
    """The failure of the rank that says most: a refusal before a lost pod, and that before the crashes of its peers."""
    ended = {_rank(pod): pod for pod in pods if pod_outcome.explain(pod)}
    order = {rank: (not pod_outcome.refused(pod), not pod_outcome.lost(pod), rank) for rank, pod in ended.items()}
    rank = min(order, key=order.__getitem__, default=None)
    failure: Exception = Outage(f"{message}; {pod_outcome.RESUMES}")
    if rank is not None:
        failure = pod_outcome.error(ended[rank], f"rank {rank}: {pod_outcome.explain(ended[rank])}")
    return failure
