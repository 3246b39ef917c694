import importlib.util
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from laptop import login_links, services
from laptop.settings import CHECKOUT, Laptop


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """The plugin, loaded from its folder as Airflow loads it; ``plugin.links`` is where it looks for links."""
    path = CHECKOUT / "laptop" / "plugins" / "login.py"
    spec = importlib.util.spec_from_file_location("plugin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(module, "get_auth_manager", Signer)
    module.links = Path(tmp_path) / module.LOGIN_LINKS
    return module


class Signer:
    def generate_jwt(self, user):
        return f"token-of-{user.username}"


@pytest.fixture
def browser(plugin):
    [app] = plugin.LoginLinks.fastapi_apps
    assert app["url_prefix"] == login_links.PREFIX
    with TestClient(app["app"], follow_redirects=False) as client:
        yield client


def test_link_logs_in_at_its_first_use_and_leads_to_its_page(plugin, browser):
    link = login_links.new(plugin.links, "/dags/toy/runs/1").removeprefix(login_links.PREFIX)
    first, second = browser.get(link), browser.get(link)
    assert [(answer.status_code, answer.headers["location"]) for answer in (first, second)] == [(303, "/dags/toy/runs/1")] * 2
    assert first.headers["set-cookie"] == "_token=token-of-admin; HttpOnly; Path=/; SameSite=lax"
    assert "set-cookie" not in second.headers
    assert (first.headers["cache-control"], first.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize("path", ["/guess", "/..%2fpasswords.json", "/?next=https://evil.example"])
def test_unknown_link_logs_nobody_in_and_leads_nowhere_else(plugin, browser, path):
    login_links.new(plugin.links, "/dags")
    answer = browser.get(path)
    assert "set-cookie" not in answer.headers
    assert answer.headers.get("location", "/") == "/"


def test_link_is_used_up_by_a_request_of_any_method_that_is_answered(plugin, browser):
    link = login_links.new(plugin.links, "/dags").removeprefix(login_links.PREFIX)
    assert browser.post(link).status_code == 405
    browser.head(link)
    assert "set-cookie" not in browser.get(link).headers


def test_only_the_api_server_is_told_of_the_plugin(tmp_path):
    laptop = Laptop("file", tmp_path, {"AIRFLOW_PORT": 1, "MLFLOW_PORT": 2, "S3_PORT": 3})
    told = [service.name for service in services.services(laptop) if "AIRFLOW__CORE__PLUGINS_FOLDER" in service.variables]
    assert told == ["api-server"]
    assert "AIRFLOW__CORE__PLUGINS_FOLDER" not in laptop.environment()
