import base64
from types import SimpleNamespace

import pytest
from kubernetes.client import ApiClient, AppsV1Api, Configuration, CoreV1Api

from operators import reaper, release
from stillhouse.errors import BadConfig

WANTED = {
    "airflow": {"connection": "postgresql://house:{postgres/PASSWORD}@db/airflow", "fernet-key": "{random:32:base64}"},
    "postgres": {"USER": "house", "PASSWORD": "{random:24}"},
}


@pytest.fixture
def api(cluster) -> ApiClient:
    return ApiClient(Configuration(host=cluster.url))


def values(cluster, name: str) -> dict[str, str]:
    return cluster.objects["secrets", name]["stringData"]


def as_stored(cluster, name: str) -> None:
    """As the API server keeps a secret: ``stringData`` becomes ``data``."""
    secret = cluster.objects["secrets", name]
    secret["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in secret["stringData"].items()}


def test_secrets_are_made_at_random_and_may_refer_to_each_other(cluster, api):
    assert release.make_secrets(CoreV1Api(api), "house", WANTED, "house") == ["airflow", "postgres"]
    password = values(cluster, "postgres")["PASSWORD"]
    assert len(password) == 24
    assert values(cluster, "airflow")["connection"] == f"postgresql://house:{password}@db/airflow"
    assert len(base64.urlsafe_b64decode(values(cluster, "airflow")["fernet-key"])) == 32


def test_secrets_that_are_there_are_kept_also_in_what_refers_to_them(cluster, api):
    release.make_secrets(CoreV1Api(api), "house", {"postgres": WANTED["postgres"]}, "house")
    as_stored(cluster, "postgres")
    password = values(cluster, "postgres")["PASSWORD"]
    assert release.make_secrets(CoreV1Api(api), "house", WANTED, "house") == ["airflow"]
    assert password in values(cluster, "airflow")["connection"]
    as_stored(cluster, "airflow")
    assert release.make_secrets(CoreV1Api(api), "house", WANTED, "house") == []


OTHERS = WANTED | {"airflow": WANTED["airflow"] | {"connection": "postgresql://house:{postgres/PASSWORD}@other/airflow"}}
"""As a release named ``other`` wants them."""


def test_secrets_of_a_release_that_is_gone_are_taken_over_with_the_new_ones_addresses(cluster, api):
    release.make_secrets(CoreV1Api(api), "house", WANTED, "house")
    for name in ("airflow", "postgres"):
        as_stored(cluster, name)
    password, key = values(cluster, "postgres")["PASSWORD"], values(cluster, "airflow")["fernet-key"]
    assert release.make_secrets(CoreV1Api(api), "house", OTHERS, "other") == ["airflow", "postgres"]
    assert values(cluster, "postgres")["PASSWORD"] == password
    told = values(cluster, "airflow")
    assert told == {"connection": f"postgresql://house:{password}@other/airflow", "fernet-key": key}
    owners = {cluster.objects["secrets", name]["metadata"]["labels"][release.OWNER] for name in ("airflow", "postgres")}
    assert owners == {"other"}


def test_secrets_of_a_release_that_lives_are_refused_by_name(cluster, api):
    release.make_secrets(CoreV1Api(api), "house", WANTED, "house")
    cluster.add("services", {"metadata": {"name": "db", "labels": {release.OWNER: "house"}}, "spec": {}})
    with pytest.raises(BadConfig, match="^the secret airflow is of the release house, which is in this namespace too"):
        release.make_secrets(CoreV1Api(api), "house", OTHERS, "other")


def test_secret_of_the_users_own_is_nobodys_release(cluster, api):
    cluster.add("secrets", {"metadata": {"name": "postgres"}, "data": {"USER": "bWU=", "PASSWORD": "bXk="}})
    assert release.make_secrets(CoreV1Api(api), "house", WANTED, "house") == ["airflow"]
    assert values(cluster, "airflow")["connection"] == "postgresql://house:my@db/airflow"


def workload(name: str, recorded: str | None, release_name: str = "house") -> dict:
    noted = {"annotations": {release.CHECKSUM: recorded}} if recorded else {}
    return {
        "metadata": {"name": name, "labels": {"tier": "airflow", "release": release_name}, **noted},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {}, "spec": {"containers": [{"name": "x"}]}}},
    }


@pytest.mark.parametrize("kind", ["deployments", "statefulsets"])
@pytest.mark.parametrize(("recorded", "rolled"), [(None, False), ("old", True), ("new", False)])
def test_restart_reaches_the_workloads_whose_environment_changed(cluster, api, kind, recorded, rolled):
    cluster.add(kind, workload("house-scheduler", recorded))
    cluster.add(kind, workload("foreign", recorded, "other"))
    restarted = release.restart(AppsV1Api(api), "house", "tier=airflow,release=house", "new")
    assert restarted == (["house-scheduler"] if rolled else [])
    told = cluster.objects[kind, "house-scheduler"]
    assert told["metadata"]["annotations"] == {release.CHECKSUM: "new"}
    assert told["spec"]["template"]["metadata"] == ({"annotations": {release.CHECKSUM: "new"}} if rolled else {})
    assert cluster.objects[kind, "foreign"]["metadata"].get("annotations") == ({release.CHECKSUM: recorded} if recorded else None)


def test_first_upgrade_without_a_change_restarts_nothing(cluster, api):
    cluster.add("deployments", workload("house-scheduler", None))
    for _ in ("install", "upgrade"):
        assert release.restart(AppsV1Api(api), "house", "tier=airflow,release=house", "same") == []
    assert release.restart(AppsV1Api(api), "house", "tier=airflow,release=house", "other") == ["house-scheduler"]


def test_reaper_leaves_what_another_release_in_the_namespace_made(cluster, api):
    for name in ("house", "other"):
        labels = {"app.kubernetes.io/part-of": "stillhouse", "app.kubernetes.io/component": "stage"}
        owner = {f"stillhouse/{key}": "x" for key in ("dag-id", "run-id", "task-id")} | {"stillhouse/map-index": "-1"}
        meta = {"name": f"stage-{name}", "labels": labels | {"app.kubernetes.io/instance": name}, "annotations": owner}
        cluster.add("pods", {"metadata": meta, "spec": {"containers": [{"name": "base"}]}})
    clients = {"core": CoreV1Api(api), "batch": SimpleNamespace(), "apps": AppsV1Api(api)}
    from kubernetes.client import BatchV1Api

    gone = reaper.reap(clients | {"batch": BatchV1Api(api)}, "house", lambda dag_id, run_id: {}, "house")
    assert gone == ["pod stage-house"]
    assert cluster.names("pods") == ["stage-other"]
