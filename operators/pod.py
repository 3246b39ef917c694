"""A stage as a Kubernetes pod: the cluster."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodNotFoundException
from airflow.triggers.base import BaseTrigger
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from operators import events, pod_overrides, podspec, time_limits
from operators.command_line import DOLLAR, NO_INPUTS, NO_RESOURCES, Inputs, Text, arguments, tool
from operators.links import LINKS
from operators.placement import GPU
from operators.pod_outcome import RESUMES, PodOutcome
from operators.pod_trigger import StagePodTrigger
from operators.retries import Outage
from operators.templates import as_template
from stillhouse import stages
from stillhouse.execution.command import relaunched


class StagePod(KubernetesPodOperator):
    """Run ``stillhouse STAGE …``, or the other command ``words``, in a pod without rights.

    No root, no token, a read-only image, one scratch volume.

    A training on several GPUs has one process per GPU.

    The task is deferred while the pod runs, so that hours of training hold no worker. However the task ends, the pod is deleted;
    its log and last words are in the task's log. A retry carries on with a pod that still runs; otherwise the stage resumes from
    the parts it published. Other containers in the pod, such as a mesh's proxy, do not matter: the pod ends with the stage's own.
    """

    MAX_REDEFER_ATTEMPTS = sys.maxsize
    """The API server may be away any number of times while the pod runs."""
    template_fields: Sequence[str] = (*KubernetesPodOperator.template_fields, "target", "placing", "limit")
    ui_color = "#e8f1e4"
    cmds: list[str]
    env_vars: list[k8s.V1EnvVar]
    operator_extra_links = LINKS

    def __init__(
        self, *, stage: str, recipe: Text = "", target: Text = "", words: Sequence[Text] = (), overrides: Text = "{}",
        inputs: Inputs = NO_INPUTS, parent_run: Text = "",
        shard: Text = "", step: Text = "", variables: Mapping[str, Text] = NO_RESOURCES,
        resources_needed: Mapping[str, str] = NO_RESOURCES,
        pod: Mapping[str, Any] = NO_RESOURCES, placing: Text = "", limit: Text = "", **kwargs: Any,
    ) -> None:  # fmt: skip
        self.stage, self.target, self.patch = stage, as_template(target), podspec.patch(pod)
        self.placing, self.limit = as_template(placing), as_template(limit)
        run = as_template(parent_run)
        options = podspec.options(stage, resources_needed, run, kwargs.get("pool_slots", 1), kwargs.get("image", ""))
        options["env_vars"] |= {name: as_template(value) for name, value in variables.items()}
        options["post_execute"] = events.announce
        processes = int(resources_needed.get(GPU, 1))
        super().__init__(
            cmds=tool("stillhouse", words, DOLLAR) if words
            else arguments(stage, recipe, overrides, inputs, target, shard=shard, step=step, dollar=DOLLAR, processes=processes),
            deferrable=True, do_xcom_push=False, get_logs=True, on_finish_action="delete_pod", callbacks=PodOutcome,
            **podspec.rights(), **(options | kwargs),
        )  # fmt: skip

    def build_pod_request_obj(self, context: Any = None, *, dry_run: bool = False) -> k8s.V1Pod:
        """The provider's pod, where the trigger form puts it, with what this cluster and the profile add to it."""
        if self.placing:
            self._place(json.loads(self.placing)["resources"])
        self.active_deadline_seconds = time_limits.seconds(self.limit)
        return pod_overrides.applied(super().build_pod_request_obj(context, dry_run=dry_run), self.stage, self.patch)

    def _place(self, resources: dict[str, str]) -> None:
        """Take other resources than the profile's."""
        self.container_resources = podspec.requirements(resources)
        if GPU not in resources:
            self.env_vars = podspec.with_threads(self.env_vars, int(float(resources["cpu"])))
        elif stages.entry_of(self.stage).ranks:
            self.cmds = relaunched(self.cmds, int(resources[GPU]))

    def defer(self, *, trigger: BaseTrigger, method_name: str, **options: Any) -> None:
        """Defer to our trigger in place of the provider's."""
        super().defer(trigger=StagePodTrigger(**trigger.serialize()[1]), method_name=method_name, **options)

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> Any:
        """As the provider does; a pod that is gone is an outage, told with the cluster's last event about it."""
        try:
            return super().trigger_reentry(context, event)
        except PodNotFoundException as error:
            msg = f"the pod is gone: {self._last_event(event)}; {RESUMES}"
            raise Outage(msg) from error

    def is_istio_enabled(self, pod: Any) -> bool:
        """Whether the stage's own container decides when the pod has ended: always, whoever injects others."""
        return pod is not None

    def _last_event(self, event: Mapping[str, Any]) -> str:
        selector = f"involvedObject.kind=Pod,involvedObject.name={event['name']}"
        try:
            told = self.client.list_namespaced_event(event["namespace"], field_selector=selector).items
        except ApiException:
            told = []
        last = max(told, key=lambda entry: str(entry.last_timestamp or entry.event_time or ""), default=None)
        return f"{last.reason}: {last.message}" if last else "somebody deleted it"
