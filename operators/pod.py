"""A stage as a Kubernetes pod: the cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

from operators import events, podspec
from operators.command_line import DOLLAR, NO_INPUTS, NO_RESOURCES, Inputs, Text, arguments, tool
from operators.links import LINKS
from operators.placement import GPU
from operators.pod_outcome import PodOutcome
from operators.templates import as_template


class StagePod(KubernetesPodOperator):
    """Run ``stillhouse STAGE …``, or the other command ``words``, in a pod without rights.

    No root, no token, a read-only image, one scratch volume.

    A training on several GPUs has one process per GPU.

    The task is deferred while the pod runs, so that hours of training hold no worker. However the task ends, the pod is deleted;
    its log and last words are in the task's log. A retry carries on with a pod that still runs; otherwise the stage resumes from
    the parts it published.
    """

    template_fields: Sequence[str] = (*KubernetesPodOperator.template_fields, "target")
    ui_color = "#e8f1e4"
    operator_extra_links = LINKS

    def __init__(
        self, *, stage: str, recipe: Text = "", target: Text = "", words: Sequence[Text] = (), overrides: Text = "{}",
        inputs: Inputs = NO_INPUTS, parent_run: Text = "",
        shard: Text = "", step: Text = "", variables: Mapping[str, Text] = NO_RESOURCES,
        resources_needed: Mapping[str, str] = NO_RESOURCES,
        pod: Mapping[str, Any] = NO_RESOURCES, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.target = as_template(target)
        run = as_template(parent_run)
        options = podspec.options(stage, resources_needed, run, kwargs.get("pool_slots", 1), kwargs.get("image", ""))
        options["env_vars"] |= {name: as_template(value) for name, value in variables.items()}
        options |= podspec.further(pod, options)
        options["post_execute"] = events.announce
        processes = int(resources_needed.get(GPU, 1))
        super().__init__(
            cmds=tool("stillhouse", words, DOLLAR) if words
            else arguments(stage, recipe, overrides, inputs, target, shard=shard, step=step, dollar=DOLLAR, processes=processes),
            deferrable=True, do_xcom_push=False, get_logs=True, on_finish_action="delete_pod", callbacks=PodOutcome,
            **podspec.rights(), **(options | kwargs),
        )  # fmt: skip
