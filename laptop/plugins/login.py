"""Airflow's plugin for the laptop: serves ``login_links``. Only the laptop's API server is told of this folder.

A link sets the cookie that Airflow's own login form leads to, with the attributes that Airflow gives it; every other check stays
Airflow's. A page of another site, also under a name that it points to 127.0.0.1, would have to know the secret.
"""

from pathlib import Path

from airflow.api_fastapi.app import get_auth_manager, get_cookie_path
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.configuration import AIRFLOW_HOME
from airflow.plugins_manager import AirflowPlugin
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from laptop import login_links
from laptop.settings import LOGIN_LINKS


def log_in(request: Request) -> Response:
    """Go to the link's page; its first use logs in. After that Airflow asks for the password, unless the browser is logged in."""
    page, is_first = login_links.use(Path(AIRFLOW_HOME) / LOGIN_LINKS, request.path_params["secret"])
    response = RedirectResponse(page, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    if is_first:
        [user] = SimpleAuthManager.get_users()
        token = get_auth_manager().generate_jwt(user)
        response.set_cookie(COOKIE_NAME_JWT_TOKEN, token, path=get_cookie_path(), httponly=True, samesite="lax")
    return response


class LoginLinks(AirflowPlugin):
    """What Airflow is given."""

    name = "login_links"
    fastapi_apps = (
        {"app": Starlette(routes=[Route("/{secret}", log_in)]), "url_prefix": login_links.PREFIX, "name": "login links"},
    )
