"""The checks that kube-linter has on by default, on all that the chart renders; no registry that we use has kube-linter itself.

One is ours by choice: a core is requested and not limited, so that a stage uses what its node has to spare.
"""

import re

import pytest

from tests.operators.test_chart import HELM, PRESETS, chart_with_a_stand_in, render

pytestmark = pytest.mark.skipif(HELM is None, reason="no helm: make .tools/helm")
EVERYTHING = [
    "--set=monitoring.enabled=true", "--set=mlflow.ingress.enabled=true", "--set=mlflow.hosts={mlflow.example.org}",
    "--set=auth.oidc.enabled=true", "--set=auth.oidc.issuer=https://login.example.org", "--set=auth.oidc.clientId=house",
    "--set=auth.oidc.groups={research}", "--set=auth.oidc.airflow.hosts={airflow.example.org}",
    "--set=models.fetch={hf://a/b@main}", "--set=models.claim=models",
]  # fmt: skip
SENSITIVE = re.compile(r"^(/|/boot|/dev|/etc|/lib|/proc|/sys|/usr|.*docker\.sock)$")
OF_OTHERS = {"house-ranks"}
"""The service whose pods the operators start."""


def workloads(objects):
    for made in objects:
        spec = made.get("spec") or {}
        if made["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if made["kind"] == "Pod":
            yield made, made["metadata"].get("labels", {}), spec
        elif "template" in spec:
            yield made, spec["template"]["metadata"].get("labels", {}), spec["template"]["spec"]


def containers(objects):
    for made, _, pod in workloads(objects):
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            yield made["metadata"]["name"], pod, container


def dangling_service(objects):
    labels = [own for _, own, _ in workloads(objects)]
    return [
        made["metadata"]["name"]
        for made in objects
        if made["kind"] == "Service" and made["metadata"]["name"] not in OF_OTHERS
        and not any(own.items() >= made["spec"]["selector"].items() for own in labels)
    ]  # fmt: skip


def mismatching_selector(objects):
    return [
        made["metadata"]["name"]
        for made, labels, _ in workloads(objects)
        if made["kind"] in {"Deployment", "StatefulSet"} and not labels.items() >= made["spec"]["selector"]["matchLabels"].items()
    ]


def no_anti_affinity(objects):
    return [
        made["metadata"]["name"]
        for made, _, pod in workloads(objects)
        if made["spec"].get("replicas", 1) > 1 and "podAntiAffinity" not in pod.get("affinity", {})
    ]


def non_existent_service_account(objects):
    accounts = {made["metadata"]["name"] for made in objects if made["kind"] == "ServiceAccount"} | {"default"}
    named = [(made["metadata"]["name"], pod.get("serviceAccountName", "default")) for made, _, pod in workloads(objects)]
    return [name for name, account in named if account not in accounts]


def no_extensions_v1beta(objects):
    return [made["metadata"]["name"] for made in objects if "beta" in made["apiVersion"] and "monitoring" not in made["apiVersion"]]


def invalid_target_ports(objects):
    wrong = []
    for made in objects:
        if made["kind"] == "Service" and made["metadata"]["name"] not in OF_OTHERS:
            pods = [pod for _, labels, pod in workloads(objects) if labels.items() >= made["spec"]["selector"].items()]
            names = {port["name"] for pod in pods for one in pod["containers"] for port in one.get("ports", ())}
            wrong += [made["metadata"]["name"] for port in made["spec"]["ports"] if port["targetPort"] not in names]
    return wrong


def rights(container):
    return container["securityContext"]


def ports_of(container):
    return [port["containerPort"] for port in container.get("ports", ())]


def names_of(container):
    return [entry["name"] for entry in container.get("env", ())]


def raw_secrets(container):
    return [entry for entry in container.get("env", ()) if "secret" in entry["name"].lower() and entry.get("value")]


def host_paths(pod):
    return [volume["hostPath"]["path"] for volume in pod.get("volumes", ()) if "hostPath" in volume]


def unset(container, name):
    resources = container["resources"]
    return name not in resources["requests"] or (name == "memory" and name not in resources["limits"])


OF_OBJECTS = {
    "dangling-service": dangling_service, "mismatching-selector": mismatching_selector, "no-anti-affinity": no_anti_affinity,
    "non-existent-service-account": non_existent_service_account, "no-extensions-v1beta": no_extensions_v1beta,
    "invalid-target-ports": invalid_target_ports,
}  # fmt: skip
OF_CONTAINERS = {
    "deprecated-service-account-field": lambda pod, _: "serviceAccount" in pod,
    "docker-sock": lambda pod, _: any(path.endswith("docker.sock") for path in host_paths(pod)),
    "sensitive-host-mounts": lambda pod, _: any(SENSITIVE.match(path) for path in host_paths(pod)),
    "host-ipc": lambda pod, _: pod.get("hostIPC", False),
    "host-network": lambda pod, _: pod.get("hostNetwork", False),
    "host-pid": lambda pod, _: pod.get("hostPID", False),
    "unsafe-sysctls": lambda pod, _: "sysctls" in pod["securityContext"],
    "run-as-non-root": lambda pod, _: not (pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"]),
    "drop-net-raw-capability": lambda _, one: (
        rights(one)["capabilities"]["drop"] != ["ALL"] or "add" in rights(one)["capabilities"]
    ),
    "privilege-escalation-container": lambda _, one: rights(one)["allowPrivilegeEscalation"],
    "privileged-container": lambda _, one: rights(one)["privileged"],
    "no-read-only-root-fs": lambda _, one: not rights(one)["readOnlyRootFilesystem"],
    "latest-tag": lambda _, one: re.search(r"^[^:]*$|:latest$|/[^:]+$", one["image"]),
    "ssh-port": lambda _, one: 22 in ports_of(one),
    "env-var-secret": lambda _, one: raw_secrets(one),
    "duplicate-env-var": lambda _, one: len(names_of(one)) != len(set(names_of(one))),
    "unset-cpu-requirements": lambda _, one: unset(one, "cpu"),
    "unset-memory-requirements": lambda _, one: unset(one, "memory"),
}
"""Each by kube-linter's name: whether the container, or the pod it is in, breaks it."""


@pytest.fixture(scope="module", params=PRESETS)
def objects(request, tmp_path_factory):
    restore = ["--set=backup.restore=latest"] if request.param != "cluster" else []  # its database is managed elsewhere
    return render(chart_with_a_stand_in(tmp_path_factory.mktemp("chart")), request.param, *EVERYTHING, *restore)


@pytest.mark.parametrize("check", OF_OBJECTS)
def test_objects_keep_the_rule(objects, check):
    assert OF_OBJECTS[check](objects) == []


@pytest.mark.parametrize("check", OF_CONTAINERS)
def test_containers_keep_the_rule(objects, check):
    assert [(name, container["name"]) for name, pod, container in containers(objects) if OF_CONTAINERS[check](pod, container)] == []


def broken(objects):
    """The objects, with one workload that breaks every rule of containers."""
    pod = {
        "serviceAccount": "root", "hostIPC": True, "hostNetwork": True, "hostPID": True,
        "securityContext": {"sysctls": [{}], "runAsNonRoot": False, "runAsUser": 0},
        "volumes": [{"hostPath": {"path": "/var/run/docker.sock"}}, {"hostPath": {"path": "/etc"}}],
        "containers": [{
            "name": "base", "image": "registry/ubuntu:latest", "ports": [{"containerPort": 22}],
            "env": [{"name": "MY_SECRET", "value": "x"}, {"name": "MY_SECRET", "value": "y"}],
            "resources": {"requests": {}, "limits": {}},
            "securityContext": {
                "capabilities": {"drop": []}, "allowPrivilegeEscalation": True, "privileged": True, "readOnlyRootFilesystem": False,
            },
        }],
    }  # fmt: skip
    return [*objects, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "broken", "labels": {}}, "spec": pod}]


@pytest.mark.parametrize("check", OF_CONTAINERS)
def test_rule_finds_what_breaks_it(objects, check):
    found = {name for name, pod, container in containers(broken(objects)) if OF_CONTAINERS[check](pod, container)}
    assert found == {"broken"}
