"""What is wrong with profiles, shown as an import error of this file: the DAGs of the other profiles are not affected."""

from airflow.sdk import DAG  # noqa: F401  # Airflow reads only files that name both words

from stillhouse.api.profile_checks import all_problems
from stillhouse.errors import BadConfig

if wrong := all_problems():
    raise BadConfig("\n".join(wrong))
