"""The answer study, and an evaluation of one of its students, by ``dag.test()`` on the toy profile."""

import contextlib
import json
import sqlite3

import pytest

from tests.integration.house import STAGES, call, run_dag

VERSION = "v1"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (STAGES / "stillhouse").exists(), reason="needs .venv: make venv"),
]


@pytest.fixture(scope="module")
def study(home):
    return run_dag("toy-study", version=VERSION)


def test_answer_study_toy_ends_in_a_comparison_of_three_students(home, study):
    directory, _ = home
    failed = {name: state for name, state in study["tasks"].items() if state != "success"}
    assert (study["state"], failed) == ("success", {}), study["log"][-3000:]
    made = directory / "store" / "comparison" / "toy-study-study" / VERSION
    record = json.loads((made / "comparison.json").read_bytes())
    assert (record["against"], list(record["differences"])) == ("original", ["answer", "summary"])
    compared = [(item["benchmark"], item["number"]) for item in record["differences"]["answer"]]
    assert compared == [("arithmetic-toy", 1), ("arithmetic-toy", 2)]
    page = (made / "comparison.html").read_text(encoding="utf-8")
    assert "Comparison with original" in page


def test_answer_study_tasks_link_to_their_runs_and_pages(home, study):
    """What Airflow kept for its buttons."""
    directory, uri = home
    with contextlib.closing(sqlite3.connect(directory / "airflow.db")) as database:
        kept = database.execute("SELECT task_id, key, value FROM xcom WHERE dag_id = 'toy-study' AND key GLOB '_link_*'")
        links = {(task, key): json.loads(value) for task, key, value in kept}
    stages = study["tasks"].keys() - {"open_run", "plan", "leaderboard", "close_run"}
    experiment = call(uri, "experiments/get-by-name?experiment_name=toy-study")["experiment"]["experiment_id"]
    # What another profile made before links to that one's run.
    assert all(links[task, "_link_RunLink"].startswith(f"{uri}/#/experiments/") for task in stages)
    assert links["comparison-study", "_link_RunLink"].startswith(f"{uri}/#/experiments/{experiment}/runs/")
    pages = {task: links[task, "_link_PageLink"].rpartition("/artifacts/")[2].partition("?")[0] for task in stages}
    assert (pages["report-answer"], pages["comparison-study"], pages["sft-answer"]) == (
        "report.html",
        "comparison.html",
        "learnt-tokens.html",
    )
    run_id = links["comparison-study", "_link_RunLink"].rpartition("/")[2].partition("?")[0]
    tags = call(uri, f"runs/get?run_id={run_id}")["run"]["data"]["tags"]
    assert {"key": "stage", "value": "comparison"} in tags


def test_evaluate_maps_reports_of_a_checkpoint_over_benchmarks(home, study):
    directory, uri = home
    checkpoint = (directory / "store" / "sft" / "toy-study-answer" / VERSION).as_uri()
    made = run_dag(
        "evaluate", protocol="toy", checkpoint=checkpoint, benchmarks=["arithmetic-toy", "word-problems"], rounds=1, version="e1"
    )
    assert made["state"] == "success", made["log"][-3000:]
    assert {name for name in made["tasks"] if name.startswith("report/")} == {"report/0", "report/1"}
    for benchmark in ("arithmetic-toy", "word-problems"):
        [output] = directory.glob(f"store/report/sft-toy-study-answer-{VERSION}-toy-{benchmark}-*/e1")
        assert list(json.loads((output / "outcomes.json").read_bytes())["benchmarks"]) == [benchmark]
        assert (output / "report.html").stat().st_size > 10_000
    experiment = call(uri, "experiments/get-by-name?experiment_name=evaluate")["experiment"]["experiment_id"]
    query = {"experiment_ids": [experiment], "filter": "tags.stage = 'report'", "max_results": 50}
    runs = call(uri, "runs/search", query)["runs"]
    names = {metric["key"] for run in runs for metric in run["data"].get("metrics", [])}
    assert any(name.startswith("word-problems/") and name.endswith("/round_1/pass_at_1") for name in names)
