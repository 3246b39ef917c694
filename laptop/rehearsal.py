"""``make rehearse PROFILE=…``: a profile's own DAG, end to end on this machine, before it meets a GPU.

``dag.test()`` of Airflow runs the tasks one after the other, each stage as the command line that a pod would run. Only models and
row counts differ (``shrinking``), so that a recipe that is missing, does not fit its stage or leaves a later one without rows fails
here.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from laptop import services, stand_in_models
from laptop.settings import CHECKOUT, Laptop, program
from laptop.shrinking import shrink
from stillhouse.errors import ServiceFailed
from stillhouse.execution import profiles
from stillhouse.execution.command import command

Say = Callable[[str], None]
PYTHON = CHECKOUT / ".venv-airflow" / "bin" / "python"
BASE = {
    "init": {
        "kind": "scratch", "hidden_size": 32, "intermediate_size": 64, "layers": 1, "heads": 1, "vocabulary": 300, "context": 2048,
    },
    "split": "base", "max_steps": 0, "max_length": 96, "packing": False,
}  # fmt: skip
"""The tiny model in the place of every student: its weights are random."""
SCRIPT = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
name, conf = sys.argv[1], json.loads(sys.argv[2])
bag = DagBag(sys.argv[3])
if name not in bag.dags:
    sys.exit(f"no DAG {name}: {'; '.join(bag.import_errors.values())}")
run = bag.dags[name].test(run_conf=conf)
for ti in run.get_task_instances():
    print("TASK", json.dumps({"task": ti.task_id, "index": ti.map_index, "state": str(ti.state), "seconds": ti.duration or 0}))
print("STATE", str(run.state))
"""


def rehearse(say: Say, laptop: Laptop, name: str) -> bool:
    """Rehearse a profile; returns whether every task succeeded. Raises BadConfig for a profile that is wrong."""
    started, profile = time.monotonic(), profiles.load(name)
    directory = laptop.home / "rehearsals" / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    needs_mlflow = "registry" in profile.recipes
    if needs_mlflow:
        services.start(laptop, say, without=[one.name for one in services.services(laptop) if one.name != "mlflow"])
    try:
        with stand_in_models.served() as address:
            environment = _environment(laptop, directory, address, tracked=needs_mlflow)
            student, files = _student(say, directory, environment)
            small = shrink(profile, directory, student=student, model_directory=files, endpoint=address)
            say(f"{small}: its recipes are in {directory / 'profiles' / small}")
            succeeded = _run(say, small, directory, environment)
    finally:
        if needs_mlflow:
            services.stop(laptop)
    say(f"{name}: {'rehearsed' if succeeded else 'failed'} in {time.monotonic() - started:.0f} s")
    return succeeded


def _environment(laptop: Laptop, directory: Path, address: str, *, tracked: bool) -> dict[str, str]:
    """What Airflow and the stages see: a store, an Airflow and profiles of the rehearsal's own."""
    own = {
        "STILLHOUSE_STORE": (directory / "store").as_uri(), "STILLHOUSE_PROFILES_PATH": str(directory / "profiles"),
        "STILLHOUSE_BENCHMARKS": str(directory / "benchmarks"), "STILLHOUSE_ENDPOINTS": f"{address}/v1",
        "STILLHOUSE_REWARD_ENDPOINT": address, "STILLHOUSE_SCRATCH": str(directory / "scratch"), "STILLHOUSE_SCHEDULES": "off",
        "STILLHOUSE_RETRY_FOR_S": "1", "AIRFLOW_HOME": str(directory / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{directory / 'airflow.db'}",
    }  # fmt: skip
    environment = laptop.environment() | own
    if not tracked:
        environment.pop("MLFLOW_TRACKING_URI")
    (directory / "scratch").mkdir()
    return environment


def _student(say: Say, directory: Path, environment: dict[str, str]) -> tuple[str, str]:
    """The tiny model: its URI, and its files as a directory."""
    root, layers = (directory / "store").as_uri(), {"questions": "@toy/questions-corpus", "selected": "@toy/selected-corpus"}
    uris: dict[str, str] = {}
    for stage in ("questions", "selected", "sft"):
        inputs = {"selected": {"questions": uris.get("questions", "")}, "sft": {"selected": uris.get("selected", "")}}.get(
            stage, {}
        )
        uris[stage] = f"{root}/{stage}/tiny/1"
        argv = command(stage, config=[layers.get(stage, json.dumps(BASE))], inputs=inputs, output=uris[stage], program=program())
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"the tiny model could not be made: {stage}: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
            raise ServiceFailed(msg)
    files = directory / "tiny-model"
    shutil.copytree(directory / "store" / "sft" / "tiny" / "1", files)
    say("the tiny model is made")
    return uris["sft"], str(files)


def _run(say: Say, name: str, directory: Path, environment: dict[str, str]) -> bool:
    """Run the DAG; its output goes to a log, its tasks are said as they end."""
    log = directory / "rehearsal.log"
    migrate = [str(PYTHON.with_name("airflow")), "db", "migrate"]
    argv = [str(PYTHON), "-c", SCRIPT, name, json.dumps({"version": "1"}), str(CHECKOUT / "dags")]
    with log.open("wb") as output:
        for step in (migrate, argv):
            code = subprocess.run(step, env=environment, stdout=output, stderr=output, check=False).returncode
            if code:
                break
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    tasks = [json.loads(line.removeprefix("TASK ")) for line in lines if line.startswith("TASK ")]
    for task in tasks:
        index = f" {task['index']}" if task["index"] >= 0 else ""
        say(f"  {task['task']}{index:4} {task['state']:16} {task['seconds']:.0f} s")
    if code or not tasks:
        say(f"the DAG did not run: {lines[-1] if lines else 'its log is empty'}; read {log}")
        return False
    for line in [line for line in lines if "error: " in line][:5]:
        say(f"  {line.strip()}")
    return "STATE success" in lines
