"""Airflow's login where oauth2-proxy stands before it: the address that the proxy passes on is the user's name.

The chart names this file as AIRFLOW__FAB__CONFIG_FILE with auth.oidc, and lets nothing but the proxy reach Airflow.
"""

import os

from flask_appbuilder.const import AUTH_REMOTE_USER

AUTH_TYPE = AUTH_REMOTE_USER
AUTH_REMOTE_USER_ENV_VAR = "HTTP_X_FORWARDED_USER"
AUTH_USER_REGISTRATION = True
AUTH_USER_REGISTRATION_ROLE = os.environ.get("STILLHOUSE_LOGIN_ROLE", "Viewer")
WTF_CSRF_ENABLED = True
