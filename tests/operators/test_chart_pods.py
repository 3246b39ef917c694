"""What values say of every pod of the chart, and which pods change with a value."""

import kubernetes_validate
import pytest
import yaml

from tests.operators.test_chart import HELM, VERSIONS, chart_with_a_stand_in, helm, of_kind, render, variables

pytestmark = pytest.mark.skipif(HELM is None, reason="no helm: make .tools/helm")
CA = {"name": "private-ca", "configMap": {"name": "private-ca"}}
ADDED = {
    "labels": {"team": "research", "app.kubernetes.io/component": "mine"},
    "annotations": {"sidecar.istio.io/inject": "false", "helm.sh/hook": "none"},
    "nodeSelector": {"pool": "services"},
    "tolerations": [{"key": "services", "operator": "Exists"}],
    "priorityClassName": "services",
    "runtimeClassName": "gvisor",
    "imagePullSecrets": ["mirror"],
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.org:3128"}, {"name": "HOME", "value": "/root"}],
    "volumes": [CA],
    "volumeMounts": [{"name": "private-ca", "mountPath": "/etc/private-ca", "readOnly": True}],
}
EVERYTHING = {
    "models": {"claim": "models", "fetch": ["hf://a/b@main"]},
    "backup": {"restore": "latest"},
    "images": {"pullSecret": "registry"},
    "auth": {"oidc": {"enabled": True, "issuer": "https://login.example.org", "clientId": "house", "groups": ["research"]}},
}
OF_THE_CHART = {
    "house-mlflow", "house-store", "house-postgres", "house-backup", "house-restore-latest", "house-fetch", "house-pools",
    "house-secrets", "house-restart", "house-mlflow-login", "house-airflow-login", "house-test-stage", "house-test-sandbox",
}  # fmt: skip


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    return chart_with_a_stand_in(tmp_path_factory.mktemp("chart"))


def rendered(chart, preset: str, values: dict) -> list[dict]:
    """The objects of the preset with further values."""
    file = chart.parent / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    return render(chart, preset, "--values", file)


def pods(objects: list[dict]) -> dict[str, dict]:
    """Every pod or template of a pod, with its metadata."""
    by_name = {}
    for made in objects:
        spec = made.get("spec", {})
        outer = made if made["kind"] == "Pod" else spec.get("jobTemplate", made).get("spec", {}).get("template")
        if outer:
            by_name[made["metadata"]["name"]] = {"metadata": outer["metadata"], "spec": outer["spec"]}
    return by_name


def containers(pod: dict) -> list[dict]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


@pytest.fixture(scope="module")
def plain(chart):
    return pods(rendered(chart, "kind", EVERYTHING))


@pytest.fixture(scope="module")
def objects(chart):
    return rendered(chart, "kind", EVERYTHING | {"pods": ADDED})


def test_every_pod_of_the_chart_gets_what_values_add(objects):
    added = pods(objects)
    assert added.keys() == OF_THE_CHART
    for name, pod in added.items():
        spec, meta = pod["spec"], pod["metadata"]
        assert spec.items() >= {key: ADDED[key] for key in ("nodeSelector", "tolerations", "runtimeClassName")}.items(), name
        assert spec["imagePullSecrets"] == [{"name": "registry"}, {"name": "mirror"}], name
        assert (meta["labels"]["team"], meta["annotations"]["sidecar.istio.io/inject"]) == ("research", "false"), name
        assert CA in spec["volumes"], name
        for container in containers(pod):
            assert ADDED["env"][0] in container["env"], name
            assert ADDED["volumeMounts"][0] in container["volumeMounts"], name


def test_what_the_chart_sets_itself_stays(objects, plain):
    for name, pod in pods(objects).items():
        before = plain[name]
        assert pod["metadata"]["labels"].items() >= before["metadata"].get("labels", {}).items(), name
        assert pod["metadata"]["annotations"].items() >= before["metadata"].get("annotations", {}).items(), name
        assert pod["spec"]["priorityClassName"] == before["spec"].get("priorityClassName", "services"), name
        for container, previous in zip(containers(pod), containers(before), strict=True):
            assert container["env"][: len(previous.get("env", ()))] == previous.get("env", []), name
            names = [entry["name"] for entry in container["env"]]
            assert len(names) == len(set(names)), name
            assert container["securityContext"] == previous["securityContext"], name


def test_objects_with_all_of_it_are_valid_by_the_strict_schemas(objects):
    for made in objects:
        kubernetes_validate.validate(made, VERSIONS[-1], strict=True)


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ({"volumes": [{"name": "scratch", "emptyDir": {}}]}, "already has a volume scratch; choose another name"),
        ({"volumes": [CA], "volumeMounts": [{"name": "private-ca", "mountPath": "/scratch"}]}, "already has a volume at /scratch"),
        ({"volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}, "ca is not the name of a volume in pods.volumes"),
    ],
)
def test_addition_that_would_break_a_pod_is_refused_by_name(chart, tmp_path, added, said):
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"pods": added}))
    done = helm("template", "house", chart, "--values", tmp_path / "values.yaml")
    assert done.returncode != 0
    assert said in done.stderr


AIRFLOW = "house-restart"
"""Its hook gives the checksum of the environment to the pods of Airflow, which alone read that ConfigMap."""
OWN_IMAGES = {"house-mlflow", "house-test-stage", "house-test-sandbox"}


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("stages.gpuNodes.pool=h100", {AIRFLOW}),
        ("stages.queue=research", {AIRFLOW}),
        ("stages.schedules=off", {AIRFLOW}),
        ("stages.train.gpus=4", {AIRFLOW}),
        ("images.tag=v9", {AIRFLOW} | OWN_IMAGES),
        ("store.uri=s3://other", {AIRFLOW, "house-mlflow", "house-test-stage"}),
        ("secrets.stage=other", {AIRFLOW, "house-mlflow", "house-test-stage"}),
    ],
)
def test_value_changes_the_pods_that_read_it(chart, setting, changed):
    before, after = pods(render(chart, "cluster")), pods(render(chart, "cluster", "--set", setting))
    assert {name for name in after if after[name] != before[name]} == changed
    checksums = {variables(each[AIRFLOW]["spec"])["STILLHOUSE_CHECKSUM"] for each in (before, after)}
    assert len(checksums) == 2


def test_config_map_of_the_environment_is_read_by_airflow_alone(objects):
    assert "house-environment" in of_kind(objects, "ConfigMap")
    readers = [name for name, pod in pods(objects).items() if "house-environment" in str(pod)]
    assert readers == []
