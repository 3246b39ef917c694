"""A stage as a Kubernetes pod: the cluster."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import models as k8s  # noqa: TID253 -- loaded only where pods are made, never on the laptop

from operators import events
from operators.arguments import NO_INPUTS, NO_RESOURCES, Inputs, arguments

PASSED_ON = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
"""Variables of the Airflow deployment that a stage needs too; credentials come from the pod's secrets instead."""
SCRATCH = "/scratch"
USER = 10001


class StagePod(KubernetesPodOperator):
    """Run ``stillhouse STAGE …`` in a pod without rights: no root, no token, a read-only image, one scratch volume.

    Deferred while the pod runs, so that hours of training hold no worker; a failed pod is kept for a look.
    """

    template_fields: Sequence[str] = (*KubernetesPodOperator.template_fields, "target")
    ui_color = "#e8f1e4"

    def __init__(
        self, *, stage: str, recipe: str, target: str, overrides: str = "{}", inputs: Inputs = NO_INPUTS, parent_run: str = "",
        resources_needed: Mapping[str, str] = NO_RESOURCES, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.target = target
        slots = str(kwargs.get("pool_slots", 1))
        secret = os.environ.get("STILLHOUSE_STAGE_SECRET")
        defaults = {
            "namespace": os.environ.get("STILLHOUSE_NAMESPACE"),
            "name": f"stage-{stage}",
            "labels": {"app.kubernetes.io/part-of": "stillhouse", "stillhouse/stage": stage},
            "env_vars": _variables(parent_run, slots),
            "env_from": [k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=secret))] if secret else None,
            "container_resources": k8s.V1ResourceRequirements(requests=dict(resources_needed), limits=dict(resources_needed)),
            "volumes": [k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource())],
            "volume_mounts": [k8s.V1VolumeMount(name="scratch", mount_path=SCRATCH)],
            "on_finish_action": "delete_succeeded_pod",
            "post_execute": events.announce,
        }
        super().__init__(
            cmds=arguments(stage, recipe, overrides, inputs, target), deferrable=True, do_xcom_push=False,
            automount_service_account_token=False, security_context=_pod_security(),
            container_security_context=_container_security(), **(defaults | kwargs),
        )  # fmt: skip


def _variables(parent_run: str, slots: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"MLFLOW_RUN_ID": parent_run, "OMP_NUM_THREADS": slots, "PYTHONUNBUFFERED": "1"}
    # The image is read-only: what libraries cache goes to the scratch volume too.
    return passed | own | {"STILLHOUSE_SCRATCH": SCRATCH, "TMPDIR": SCRATCH, "HOME": SCRATCH}


def _pod_security() -> k8s.V1PodSecurityContext:
    return k8s.V1PodSecurityContext(
        run_as_non_root=True, run_as_user=USER, run_as_group=USER, fs_group=USER,
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )  # fmt: skip


def _container_security() -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False, privileged=False, read_only_root_filesystem=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )  # fmt: skip
