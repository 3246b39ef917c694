"""Every five minutes: delete pods that no living task owns, for example after a scheduler was killed with its worker."""

import os

from airflow.sdk import DAG, task


@task
def reap() -> None:
    """The connection is Airflow's own; its service account may only list and delete what stages made."""
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from airflow.sdk import get_current_context

    from operators import alerts, reaper

    ti = get_current_context()["ti"]
    hook = KubernetesHook(conn_id=KubernetesHook.default_conn_name)
    clients = {"core": hook.core_v1_client, "batch": hook.batch_v1_client, "apps": hook.apps_v1_client}
    gone = reaper.reap(
        clients,
        os.environ["STILLHOUSE_NAMESPACE"],
        lambda dag_id, run_id: ti.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {}),
        os.environ.get("STILLHOUSE_RELEASE", ""),
    )
    print(f"deleted {len(gone)}:", *gone)
    if gone:
        alerts.reaped(gone)


if os.environ.get("STILLHOUSE_RUNNER") != "process":  # a laptop has no pods
    with DAG(
        "reaper",
        schedule="*/5 * * * *",
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        doc_md=__doc__,
        tags=["stillhouse"],
    ):
        reap()
