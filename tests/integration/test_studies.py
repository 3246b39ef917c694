"""The answer study, and an evaluation of one of its students, by ``dag.test()`` on the toy profile."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_retrain import ROOT, STAGES, call, mlflow_server

VERSION = "v1"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (STAGES / "stillhouse").exists(), reason="needs .venv: make venv"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Airflow, MLflow and a store in one directory, with the environment that the stages inherit."""
    directory = tmp_path_factory.mktemp("studies")
    with mlflow_server(directory) as uri, pytest.MonkeyPatch.context() as patch:
        settings = {
            "AIRFLOW_HOME": directory / "airflow", "AIRFLOW__CORE__DAGS_FOLDER": ROOT / "dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": False, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{directory}/airflow.db",
            "STILLHOUSE_RUNNER": "process", "STILLHOUSE_STORE": (directory / "store").as_uri(),
            "STILLHOUSE_PROGRAM": STAGES / "stillhouse", "MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": "stillhouse",
            "HF_HUB_OFFLINE": 1, "PYTHONPATH": ROOT,
        }  # fmt: skip
        for name, value in settings.items():
            patch.setenv(name, str(value))
        airflow = Path(sys.executable).with_name("airflow")
        subprocess.run([airflow, "db", "migrate"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield directory, uri


def run_dag(name, **conf):
    """One run in a child process, so that Airflow reads this test's settings."""
    script = f"""
import json
from airflow.dag_processing.dagbag import DagBag
dag = DagBag({str(ROOT / "dags")!r}).dags[{name!r}]
run = dag.test(run_conf=json.loads({json.dumps(json.dumps(conf))}))
tasks = {{f"{{ti.task_id}}/{{ti.map_index}}": str(ti.state) for ti in run.get_task_instances()}}
print("RESULT", json.dumps({{"state": str(run.state), "tasks": tasks}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    lines = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(lines[0]) | {"log": done.stdout + done.stderr}


@pytest.fixture(scope="module")
def study(home):
    return run_dag("answer_study", profile="toy", version=VERSION)


def test_answer_study_toy_ends_in_a_comparison_of_three_students(home, study):
    directory, _ = home
    failed = {name: state for name, state in study["tasks"].items() if state != "success"}
    assert (study["state"], failed) == ("success", {}), study["log"][-3000:]
    made = directory / "store" / "comparison" / "toy-study" / VERSION
    record = json.loads((made / "comparison.json").read_bytes())
    assert (record["against"], list(record["differences"])) == ("original", ["answer", "summary"])
    assert set(record["differences"]["answer"]) == {"arithmetic-toy/round_1", "arithmetic-toy/round_2"}
    page = (made / "comparison.html").read_text(encoding="utf-8")
    assert "Comparison with original" in page


def test_evaluate_maps_reports_of_a_checkpoint_over_benchmarks(home, study):
    directory, uri = home
    checkpoint = (directory / "store" / "sft" / "toy-answer" / VERSION).as_uri()
    made = run_dag(
        "evaluate", profile="toy", checkpoint=checkpoint, benchmarks=["arithmetic-toy", "word-problems"], rounds=1, version="e1"
    )
    assert made["state"] == "success", made["log"][-3000:]
    assert {name for name in made["tasks"] if name.startswith("report/")} == {"report/0", "report/1"}
    for benchmark in ("arithmetic-toy", "word-problems"):
        output = directory / "store" / "report" / f"toy-answer-toy-{benchmark}" / "e1"
        assert list(json.loads((output / "outcomes.json").read_bytes())) == [benchmark]
        assert (output / "report.html").stat().st_size > 100_000
    runs = call(uri, "runs/search", {"experiment_ids": ["0", "1"], "filter": "tags.stage = 'report'", "max_results": 50})["runs"]
    names = {metric["key"] for run in runs for metric in run["data"].get("metrics", [])}
    assert any(name.startswith("word-problems/") and name.endswith("/round_1/pass_at_1") for name in names)
