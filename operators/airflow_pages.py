"""Addresses of Airflow's own pages, for links from MLflow and from the leaderboard."""

from urllib.parse import quote

from airflow.configuration import conf


def of(dag_id: str, run_id: str = "") -> str:
    """The page of a DAG, or of one of its runs; empty if Airflow does not know its own address."""
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    page = f"{base}/dags/{quote(dag_id)}" if base else ""
    return f"{page}/runs/{quote(run_id)}" if page and run_id else page
