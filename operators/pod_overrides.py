"""What a cluster adds to the pods of stages and teachers, or changes in them: a strategic merge patch, per stage and for all.

``STILLHOUSE_POD_OVERRIDES`` is JSON: ``{"all": {"spec": …}, "sft": {"metadata": …, "spec": …}}``, each value a part of a pod as
Kubernetes writes it; the stage's own patch is merged last. The container of a stage or a teacher is named ``base``.
"""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from stillhouse.errors import BadConfig

VARIABLE = "STILLHOUSE_POD_OVERRIDES"
ALL = "all"
MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "volumeDevices": "devicePath", "ports": "containerPort", "imagePullSecrets": "name", "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey", "resourceClaims": "name", "schedulingGates": "name",
}  # fmt: skip
"""The fields whose entries are merged by this key, as the API server does it."""
APPENDED = frozenset({"tolerations", "envFrom"})
"""Lists to which entries are added: the API server would replace them, and the pod would lose those of ours."""


def applied(pod: k8s.V1Pod, stage: str) -> k8s.V1Pod:
    """The pod with the cluster's patches for this stage. Raises BadConfig if they are not valid JSON, or make no pod."""
    patches = _patches(os.environ.get(VARIABLE) or "{}")
    own = [patches[key] for key in (ALL, stage) if key in patches]
    if not own:
        return pod
    body = ApiClient().sanitize_for_serialization(pod)
    for patch in own:
        body = merged(body, patch)
    try:
        return PodGenerator.deserialize_model_dict(body)
    except (TypeError, ValueError) as error:
        msg = f"{VARIABLE}: the patch for {stage} makes no pod: {error}; compare it with `kubectl explain pod.spec`"
        raise BadConfig(msg) from error


def applied_to_template(template: k8s.V1PodTemplateSpec, stage: str) -> k8s.V1PodTemplateSpec:
    """As ``applied``, for the pods of a Job or a Deployment."""
    pod = applied(k8s.V1Pod(metadata=template.metadata, spec=template.spec), stage)
    return k8s.V1PodTemplateSpec(metadata=pod.metadata, spec=pod.spec)


def merged(body: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with the patch: mappings are merged, lists by ``MERGE_KEYS``, other values replaced, nulls removed."""
    result = dict(body)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = merged(result.get(name) or {}, value)
        elif name in MERGE_KEYS and isinstance(value, Sequence):
            result[name] = _merged_by(MERGE_KEYS[name], result.get(name) or [], value)
        elif name in APPENDED:
            result[name] = [*(result.get(name) or []), *value]
        else:
            result[name] = value
    return result


def _merged_by(key: str, entries: Sequence[Mapping[str, Any]], patches: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_key = {entry[key]: dict(entry) for entry in entries}
    for patch in patches:
        if key not in patch:
            msg = f"{VARIABLE}: an entry of a list has no {key}, by which it is merged: {json.dumps(patch)[:200]}"
            raise BadConfig(msg)
        by_key[patch[key]] = merged(by_key.get(patch[key], {}), patch)
    return list(by_key.values())


class Patch(TypedDict, total=False):
    """A part of a pod."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    metadata: dict[str, Any]
    spec: dict[str, Any]


_READER = TypeAdapter(dict[str, Patch])


@cache
def _patches(text: str) -> dict[str, Patch]:
    try:
        return _READER.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "text"
        msg = f"{VARIABLE}: {place}: {first['msg']}; write a JSON object of patches by stage, each with metadata and spec"
        raise BadConfig(msg) from error
