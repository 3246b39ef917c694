"""What the chart's hooks do with a release, once: make its secrets, and restart what reads a changed environment.

    python -m operators.release secrets     makes the secrets in STILLHOUSE_WANTED that are not there yet
    python -m operators.release restart     records STILLHOUSE_CHECKSUM on Airflow's workloads: a changed one restarts them

Neither is a template's work: random values would differ at every render, and Airflow's chart does not see our values.
"""

import base64
import json
import os
import re
import secrets
import string
import sys
from collections.abc import Mapping
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from stillhouse.errors import BadConfig

RANDOM = re.compile(r"\{random:(\d+)(:base64)?\}")
"""A random text of so many letters and digits, or so many random bytes as Base64."""
REFERENCE = re.compile(r"\{([a-z0-9.-]+)/([\w.-]+)\}")
"""The value of a key of another secret: ``{SECRET/KEY}``."""
CHECKSUM = "stillhouse/environment"
OWNER = "app.kubernetes.io/instance"
"""The label that names the release."""
GONE = 404


def make_secrets(core: client.CoreV1Api, namespace: str, wanted: Mapping[str, Mapping[str, str]], release: str) -> list[str]:
    """Make the secrets, and the keys of secrets, that are not there yet; returns the names of those that changed.

    Values may hold ``RANDOM`` and ``REFERENCE``, the latter to keys whose values refer to none. What is there is kept. Secrets that
    were made for a release that is gone keep their random values; those that name its services are written for this one. Raises
    BadConfig if that release still has services.
    """
    stored = {name: _read(core, namespace, name) for name in wanted}
    adopted = {name for name, secret in stored.items() if _is_left_over(core, namespace, name, secret, release)}
    kept = {
        name: {
            key: value for key, value in _values(secret).items() if name not in adopted or not _refers(wanted[name].get(key, ""))
        }
        for name, secret in stored.items()
    }
    known = {name: {key: _drawn(form) for key, form in keys.items()} | kept[name] for name, keys in wanted.items()}
    filled = {name: {key: _filled(value, known) for key, value in values.items()} for name, values in known.items()}
    changed = [name for name, values in filled.items() if name in adopted or values.keys() - kept[name].keys()]
    for name in changed:
        _write(core, namespace, name, filled[name], release, is_new=stored[name] is None)
    return changed


def restart(apps: client.AppsV1Api, namespace: str, selector: str, checksum: str) -> list[str]:
    """Roll the pods of the workloads whose recorded checksum is another one. Returns their names.

    Each workload keeps the checksum in its own annotations. A new one has none yet: its pods started with this environment.
    """
    kinds = [
        (apps.list_namespaced_deployment, apps.patch_namespaced_deployment),
        (apps.list_namespaced_stateful_set, apps.patch_namespaced_stateful_set),
    ]
    restarted = []
    for listed, patch in kinds:
        for workload in listed(namespace, label_selector=selector).items:
            meta = workload.metadata
            recorded = (meta.annotations or {}).get(CHECKSUM)
            if recorded != checksum:
                patch(meta.name, namespace, _annotated(checksum, is_new=recorded is None))
            if recorded not in {None, checksum}:
                restarted.append(meta.name)
    return restarted


def _annotated(checksum: str, *, is_new: bool) -> dict[str, Any]:
    """The patch that records the checksum; an annotation of the pods' template has them rolled."""
    noted = {"metadata": {"annotations": {CHECKSUM: checksum}}}
    return noted if is_new else noted | {"spec": {"template": noted}}


def _read(core: client.CoreV1Api, namespace: str, name: str) -> client.V1Secret | None:
    try:
        return core.read_namespaced_secret(name, namespace)
    except ApiException as error:
        if error.status != GONE:
            raise
        return None


def _values(secret: client.V1Secret | None) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in ((secret and secret.data) or {}).items()}


def _is_left_over(core: client.CoreV1Api, namespace: str, name: str, secret: client.V1Secret | None, release: str) -> bool:
    """Whether the secret was made for another release, which is gone."""
    owner = ((secret and secret.metadata.labels) or {}).get(OWNER, release)
    if owner == release:
        return False
    if core.list_namespaced_service(namespace, label_selector=f"{OWNER}={owner}").items:
        msg = f"the secret {name} is of the release {owner}, which is in this namespace too; give this one other names in secrets.*"
        raise BadConfig(msg)
    return True


def _refers(form: str) -> bool:
    return REFERENCE.search(form) is not None


def _write(core: client.CoreV1Api, namespace: str, name: str, values: Mapping[str, str], release: str, *, is_new: bool) -> None:
    labels = {"app.kubernetes.io/part-of": "stillhouse", OWNER: release}
    body: dict[str, Any] = {"metadata": {"name": name, "labels": labels}, "stringData": dict(values)}
    if is_new:
        core.create_namespaced_secret(namespace, {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", **body})
    else:
        core.patch_namespaced_secret(name, namespace, body)


def _drawn(form: str) -> str:
    return RANDOM.sub(lambda match: _random(int(match[1]), encoded=bool(match[2])), form)


def _filled(form: str, known: Mapping[str, Mapping[str, str]]) -> str:
    return REFERENCE.sub(lambda match: known[match[1]][match[2]], form)


def _random(length: int, *, encoded: bool) -> str:
    if encoded:
        return base64.urlsafe_b64encode(secrets.token_bytes(length)).decode()
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def main(action: str) -> None:
    """Do one of the two, in the pod's namespace."""
    config.load_incluster_config()
    namespace, name = os.environ["STILLHOUSE_NAMESPACE"], os.environ["STILLHOUSE_RELEASE"]
    if action == "secrets":
        try:
            changed = make_secrets(client.CoreV1Api(), namespace, json.loads(os.environ["STILLHOUSE_WANTED"]), name)
        except BadConfig as error:
            sys.exit(f"error: {error}")
        print("made:", *changed or ["nothing, all secrets are there"])
    else:
        selector = f"tier=airflow,release={name}"
        print("restarted:", *restart(client.AppsV1Api(), namespace, selector, os.environ["STILLHOUSE_CHECKSUM"]) or ["nothing"])


if __name__ == "__main__":
    main(sys.argv[1])
