"""What a cluster and a profile add to the pods of stages and teachers, or change in them, as strategic merge patches.

``STILLHOUSE_POD_OVERRIDES`` is JSON: ``{"all": {"spec": …}, "sft": {"metadata": …, "spec": …}}``, each value a part of a pod as
Kubernetes writes it. The cluster's patch for all is merged first, then that of the stage, then the profile's. The container of a
stage or a teacher is named ``base``.
"""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from stillhouse.errors import BadConfig

VARIABLE = "STILLHOUSE_POD_OVERRIDES"
ALL = "all"
UNFIT = (TypeError, ValueError, AttributeError)
"""What the client of Kubernetes raises for values that do not fit their field."""
COMPARE = "compare it with `kubectl explain pod.spec`"
NOTHING: Mapping[str, Any] = MappingProxyType({})
MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "volumeDevices": "devicePath", "ports": "containerPort", "imagePullSecrets": "name", "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey", "resourceClaims": "name", "schedulingGates": "name",
}  # fmt: skip
"""The fields whose entries are merged by this key, as the API server does it."""
APPENDED = frozenset({"tolerations", "envFrom"})
"""Lists to which entries are added: the API server would replace them, and the pod would lose those of ours."""


def applied(pod: k8s.V1Pod, stage: str, own: Mapping[str, Any] = NOTHING) -> k8s.V1Pod:
    """The pod with the cluster's patches for this stage, then its task's own.

    Raises BadConfig if the patches are not valid JSON, or make no pod, or name a field that a pod does not have.
    """
    patches = _patches(os.environ.get(VARIABLE) or "{}")
    due = [patch for patch in (patches.get(ALL), patches.get(stage), own) if patch]
    if not due:
        return pod
    body = ApiClient().sanitize_for_serialization(pod)
    for patch in due:
        body = merged(body, patch)
    try:
        patched = _pod(body)
    except UNFIT as error:
        msg = f"{VARIABLE}: the patch for {stage} makes no pod: {_unfit(body)} has a wrong value: {error}; {COMPARE}"
        raise BadConfig(msg) from error
    if unknown := _unknown(body, ApiClient().sanitize_for_serialization(patched)):
        msg = f"{VARIABLE}: the patch for {stage}: a pod has no {unknown}, or not of this type; {COMPARE}"
        raise BadConfig(msg)
    return patched


def applied_to_template(
    template: k8s.V1PodTemplateSpec, stage: str, own: Mapping[str, Any] = NOTHING
) -> k8s.V1PodTemplateSpec:  # fmt: skip
    """As ``applied``, for the pods of a Job or a Deployment."""
    pod = applied(k8s.V1Pod(metadata=template.metadata, spec=template.spec), stage, own)
    return k8s.V1PodTemplateSpec(metadata=pod.metadata, spec=pod.spec)


def _pod(body: Mapping[str, Any]) -> k8s.V1Pod:
    return PodGenerator.deserialize_model_dict(body)


def _unfit(body: Mapping[str, Any]) -> str:
    """The field of a body that makes no pod."""
    for name, value in body.get("spec", {}).items():
        try:
            _pod({"spec": {"containers": [], name: value}})
        except UNFIT:
            return f"spec.{name}"
    return "metadata"


def _unknown(body: Any, taken: Any, path: str = "") -> str | None:
    """The path of the first value that is not in the pod that was made of the body; None if all are."""
    if isinstance(body, Mapping) and isinstance(taken, Mapping):
        places = [(body[name], taken.get(name), f"{path}.{name}".lstrip(".")) for name in body if body[name] is not None]
    elif isinstance(body, list) and isinstance(taken, list) and len(body) == len(taken):
        places = [(*pair, f"{path}[{index}]") for index, pair in enumerate(zip(body, taken, strict=True))]
    else:
        return None if body == taken else path
    return next((found for place in places if (found := _unknown(*place))), None)


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
