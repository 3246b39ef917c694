"""MLflow's own server with our login, as behind oauth2-proxy: who the proxy names, who has a password, and who has neither."""

import sys

import httpx
import pytest

from tests.conftest import answers, free_port, server

pytest.importorskip("flask_wtf", reason="MLflow's login needs flask-wtf, of the extra dev")
SECRET, ADMIN = "between the proxy and MLflow", ("admin", "password of programs")
INI = """[mlflow]
default_permission = READ
authorization_function = operators.mlflow_login:authenticate
database_uri = sqlite:///{directory}/auth.db
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    directory, port = tmp_path_factory.mktemp("mlflow"), free_port()
    (directory / "auth.ini").write_text(INI.format(directory=directory))
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(directory / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "k",
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN[0], "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "STILLHOUSE_LOGIN_PASSWORD": SECRET,
    }  # fmt: skip
    command = [
        sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1", "--app-name=basic-auth",
        f"--backend-store-uri=sqlite:///{directory}/runs.db", f"--artifacts-destination={directory}/artifacts",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with server(command, environment, directory / "log", lambda: answers(f"{address}/health")):
        yield address


def current(url: str, account: tuple[str, str] | None) -> httpx.Response:
    return httpx.get(f"{url}/api/2.0/mlflow/users/current", auth=account, timeout=60)


def test_person_whom_the_proxy_names_is_a_user_without_rights_of_an_administrator(url):
    for _ in range(2):
        answer = current(url, ("mary@example.org", SECRET))
        assert answer.status_code == 200, answer.text
        assert (answer.json()["user"]["username"], answer.json()["user"]["is_admin"]) == ("mary@example.org", False)


def test_program_keeps_its_password(url):
    assert current(url, ADMIN).json()["user"]["is_admin"] is True


@pytest.mark.parametrize(
    "account", [None, ("mary@example.org", "guess"), ("mary@example.org", ""), ("admin", SECRET), ("nobody", SECRET)]
)
def test_nobody_else_gets_in(url, account):
    assert current(url, account).status_code == 401
