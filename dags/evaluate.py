"""A checkpoint -> reports: one task per benchmark, side by side, each over all rounds of thinking.

In Airflow a profile with ``schedule: {asset: checkpoint}`` measures whatever checkpoint another DAG makes.
"""

from operators import evaluations
from operators.profile_dag import ProfileDag, profiles

for profile in profiles("evaluate"):
    with ProfileDag(profile, __doc__, params=evaluations.params(profile)) as path:
        path.mapped_reports(evaluations.plan())
