"""MLflow's login behind oauth2-proxy: who logged in there is a user of MLflow by the same address; programs keep their passwords.

The proxy passes an address on with the password ``STILLHOUSE_LOGIN_PASSWORD``, which only it and MLflow know. MLflow finds this
function by its ``auth.ini``: ``authorization_function = operators.mlflow_login:authenticate``.
"""

import hmac
import os
import secrets

from flask import Response, request
from mlflow.exceptions import MlflowException
from mlflow.server import auth
from werkzeug.datastructures import Authorization

VARIABLE = "STILLHOUSE_LOGIN_PASSWORD"


def authenticate() -> Authorization | Response:
    """Who asks: the person that the proxy names, a user of MLflow from the first request on; or who MLflow knows by a password."""
    shown = request.authorization
    if shown is None or not _is_of_proxy(shown):
        answer: Authorization | Response = auth.authenticate_request_basic_auth()
        return answer
    _ensure_user(str(shown.username))
    return shown


def _is_of_proxy(shown: Authorization) -> bool:
    """Whether the proxy names an address; no name of an account, such as the administrator's, is one."""
    password = os.environ.get(VARIABLE, "")
    matches = hmac.compare_digest((shown.password or "").encode(), password.encode())
    return bool(password) and matches and "@" in (shown.username or "")


def _ensure_user(name: str) -> None:
    if auth.store.has_user(name):
        return
    try:
        auth.store.create_user(name, secrets.token_urlsafe(32))
    except MlflowException:
        # Two first requests at once: the other one made the user.
        if not auth.store.has_user(name):
            raise
