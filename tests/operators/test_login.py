"""People log in at an identity provider: the proxies that the chart sets before MLflow and Airflow, and who reaches what."""

import json
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType

import kubernetes_validate
import pytest
import yaml

from tests.operators.test_chart import HELM, ROOT, VERSIONS, chart_with_a_stand_in, helm, of_kind, pods, render

pytestmark = pytest.mark.skipif(HELM is None, reason="no helm: make .tools/helm")
ON = {
    "enabled": True, "issuer": "https://login.example.org", "clientId": "house", "groups": ["research"],
    "airflow": {"hosts": ["airflow.example.org"], "ingress": {"className": "nginx", "tlsSecret": "airflow-tls"}},
}  # fmt: skip
MLFLOW = {"hosts": ["mlflow.example.org"], "ingress": {"enabled": True, "tlsSecret": "mlflow-tls"}}
PROXY = {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "house", "app.kubernetes.io/component": "login"}}}


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    return chart_with_a_stand_in(tmp_path_factory.mktemp("chart"))


def with_oidc(chart: Path, directory: Path, preset: str = "cluster", **own) -> list[dict]:
    return render(chart, preset, "--values", written(directory, {"auth": {"oidc": ON | own}, "mlflow": MLFLOW}))


def written(directory: Path, values: dict) -> Path:
    path = directory / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def arguments(objects: list[dict], name: str) -> list[str]:
    [container] = pods(objects)[name]["containers"]
    return container["args"]


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_of_the_login_are_valid_by_the_strict_schemas(chart, tmp_path, version):
    for made in with_oidc(chart, tmp_path):
        kubernetes_validate.validate(made, version, strict=True)


@pytest.mark.parametrize(
    ("name", "upstream"), [("mlflow", "http://house-mlflow:5000/"), ("airflow", "http://house-api-server:8080/")]
)
def test_ingress_leads_to_the_proxy_and_the_proxy_to_the_service(chart, tmp_path, name, upstream):
    objects = with_oidc(chart, tmp_path)
    ingress = of_kind(objects, "Ingress")[f"house-{name}"]["spec"]
    assert ingress["tls"] == [{"hosts": [f"{name}.example.org"], "secretName": f"{name}-tls"}]
    [rule] = ingress["rules"]
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"]["name"] == f"house-{name}-login"
    service = of_kind(objects, "Service")[f"house-{name}-login"]["spec"]
    template = of_kind(objects, "Deployment")[f"house-{name}-login"]["spec"]["template"]
    assert template["metadata"]["labels"].items() >= service["selector"].items()
    assert f"--upstream={upstream}" in arguments(objects, f"house-{name}-login")
    assert {"--oidc-issuer-url=https://login.example.org", "--client-id=house", "--allowed-group=research"} <= {
        *arguments(objects, f"house-{name}-login")
    }


def test_credentials_of_the_proxy_come_from_the_secret_alone(chart, tmp_path):
    [container] = pods(with_oidc(chart, tmp_path))["house-mlflow-login"]["containers"]
    keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in container["env"]}
    assert {reference["name"] for reference in keys.values()} == {"stillhouse-oidc"}
    assert {name: reference["key"] for name, reference in keys.items()} == {
        "OAUTH2_PROXY_CLIENT_SECRET": "client-secret", "OAUTH2_PROXY_COOKIE_SECRET": "cookie-secret",
        "OAUTH2_PROXY_BASIC_AUTH_PASSWORD": "mlflow-password",
    }  # fmt: skip


def test_addresses_and_domains_may_log_in_and_nobody_else(chart, tmp_path):
    objects = with_oidc(chart, tmp_path, groups=[], emails=["mary@lab.example", "@example.org"])
    flags = arguments(objects, "house-airflow-login")
    assert [flag for flag in flags if "email" in flag] == [
        "--prefer-email-to-user=true", "--authenticated-emails-file=/etc/login/emails", "--email-domain=example.org",
    ]  # fmt: skip
    assert of_kind(objects, "ConfigMap")["house-login"]["data"]["emails"].split() == ["mary@lab.example"]
    assert "--email-domain=*" in arguments(with_oidc(chart, tmp_path), "house-airflow-login")


def test_programs_pass_with_what_the_services_ask_of_them(chart, tmp_path):
    objects = with_oidc(chart, tmp_path)
    skipped = {
        name: [flag for flag in arguments(objects, f"house-{name}-login") if "skip-auth" in flag or "jwt" in flag]
        for name in ("mlflow", "airflow")
    }
    # MLflow's password stays in the request; names that only the proxy may give are taken out of those to Airflow.
    assert skipped == {
        "mlflow": ["--skip-auth-route=^/api/", "--skip-auth-strip-headers=false"],
        "airflow": ["--skip-auth-route=^/api/v2/", "--skip-auth-route=POST=^/auth/token$"],
    }


@pytest.mark.parametrize("name", ["house-mlflow-login", "house-airflow-login"])
def test_path_of_a_request_is_taken_from_no_header(chart, tmp_path, name):
    """X-Forwarded-Uri: /api/ would else make any request one of a program, which passes without a login."""
    assert [flag for flag in arguments(with_oidc(chart, tmp_path), name) if "reverse-proxy" in flag] == []


def test_only_the_proxy_and_pods_of_the_release_reach_mlflow_and_airflow(chart, tmp_path):
    objects = with_oidc(chart, tmp_path)
    policies = {name: policy["spec"] for name, policy in of_kind(objects, "NetworkPolicy").items()}
    [airflow] = policies["house-api-server"]["ingress"]
    assert airflow["from"] == [PROXY, {"podSelector": {"matchLabels": {"release": "house", "tier": "airflow"}}}]
    [mlflow] = policies["house-mlflow"]["ingress"]
    assert PROXY in mlflow["from"]
    assert not [peer for peer in mlflow["from"] if "namespaceSelector" in peer or "ipBlock" in peer]
    login = policies["house-login"]
    assert login["podSelector"] == PROXY["podSelector"]
    assert [[port["port"] for port in rule["ports"]] for rule in login["ingress"]] == [[4180]]
    assert [[port["port"] for port in rule["ports"]] for rule in login["egress"]] == [[53, 53], [5000], [8080], [443]]


def test_peers_that_could_open_mlflow_go_through_the_proxy(chart, tmp_path):
    peer = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    values = {"auth": {"oidc": ON}, "mlflow": MLFLOW, "networkPolicies": {"uiFrom": [peer]}}
    policies = of_kind(render(chart, "cluster", "--values", written(tmp_path, values)), "NetworkPolicy")
    assert peer not in policies["house-mlflow"]["spec"]["ingress"][0]["from"]
    values["auth"] = {"oidc": {"enabled": False}}
    policies = of_kind(render(chart, "cluster", "--values", written(tmp_path, values)), "NetworkPolicy")
    assert peer in policies["house-mlflow"]["spec"]["ingress"][0]["from"]
    assert {"house-login", "house-api-server"} & policies.keys() == set()


def test_airflow_takes_the_name_that_the_proxy_passes_on(chart, tmp_path, monkeypatch):
    environment = of_kind(with_oidc(chart, tmp_path), "ConfigMap")["house-environment"]["data"]
    file = Path(environment["AIRFLOW__FAB__CONFIG_FILE"])
    assert f"COPY images/airflow/{file.name} {file.parent}/" in (ROOT / "images/airflow/Dockerfile").read_text()
    assert f"!images/airflow/{file.name}" in (ROOT / ".dockerignore").read_text().splitlines()
    assert environment["AIRFLOW__API__BASE_URL"] == "https://airflow.example.org"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://house-api-server:8080/execution/"
    # Flask-AppBuilder is in Airflow's image alone.
    constants = ModuleType("flask_appbuilder.const")
    constants.AUTH_REMOTE_USER = 3
    monkeypatch.setitem(sys.modules, "flask_appbuilder", ModuleType("flask_appbuilder"))
    monkeypatch.setitem(sys.modules, "flask_appbuilder.const", constants)
    monkeypatch.setitem(os.environ, "STILLHOUSE_LOGIN_ROLE", environment["STILLHOUSE_LOGIN_ROLE"])
    settings = runpy.run_path(str(ROOT / "images" / "airflow" / file.name))
    assert (settings["AUTH_TYPE"], settings["AUTH_REMOTE_USER_ENV_VAR"]) == (3, "HTTP_X_FORWARDED_USER")
    assert (settings["AUTH_USER_REGISTRATION"], settings["AUTH_USER_REGISTRATION_ROLE"]) == (True, "Viewer")


def test_mlflow_gets_the_password_and_the_function_that_know_the_proxy(chart, tmp_path):
    objects = with_oidc(chart, tmp_path, preset="single-gpu-node")
    [mlflow] = pods(objects)["house-mlflow"]["containers"]
    [password] = [entry for entry in mlflow["env"] if entry["name"] == "STILLHOUSE_LOGIN_PASSWORD"]
    assert password["valueFrom"]["secretKeyRef"] == {"name": "stillhouse-oidc", "key": "mlflow-password"}
    [hook] = pods(objects)["house-secrets"]["containers"]
    wanted = next(json.loads(entry["value"]) for entry in hook["env"] if entry["value"].startswith("{"))
    assert "authorization_function = operators.mlflow_login:authenticate\n" in wanted["stillhouse-mlflow"]["auth.ini"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"auth": {"oidc": ON | {"issuer": ""}}}, "issuer"),
        ({"auth": {"oidc": ON | {"issuer": "http://login.example.org"}}}, "issuer"),
        ({"auth": {"oidc": ON | {"groups": []}}}, "oidc"),
        ({"auth": {"oidc": ON | {"emails": ["mary"]}}}, "emails"),
        ({"auth": {"oidc": ON | {"clientID": "house"}}}, "clientID"),
        ({"auth": {"oidc": ON}, "networkPolicies": {"enabled": False}}, "networkPolicies.enabled"),
        ({"auth": {"oidc": ON}, "airflow": {"ingress": {"apiServer": {"enabled": True}}}}, "airflow.ingress.apiServer.enabled"),
    ],
)
def test_login_that_would_let_in_too_many_is_refused(chart, tmp_path, values, said):
    done = helm("template", "house", chart, "--values", written(tmp_path, values))
    assert done.returncode != 0
    assert said in done.stderr
