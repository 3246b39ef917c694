"""``make rehearse PROFILE=…``: a profile's own DAG, end to end on this machine, before it meets a GPU.

``dag.test()`` of Airflow runs the tasks one after the other, each stage as the command line that a pod would run. Only models and
row counts differ (``shrinking``), so that a recipe that is missing, does not fit its stage or leaves a later one without rows fails
here.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from laptop import services, stand_in_models, tiny_model
from laptop.settings import CHECKOUT, Laptop
from laptop.shrinking import shrink
from stillhouse.execution import profiles

Say = Callable[[str], None]
PYTHON = CHECKOUT / ".venv-airflow" / "bin" / "python"
SCRIPT = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
name, dags = sys.argv[1:]
bag = DagBag(dags)
if name not in bag.dags:
    sys.exit(f"no DAG {name}: {'; '.join(bag.import_errors.values())}")
run = bag.dags[name].test(run_conf={"version": "1"}, mark_success_pattern="approve-promotion")
for ti in run.get_task_instances():
    task = ti.task_id if ti.map_index < 0 else f"{ti.task_id} {ti.map_index}"
    print("TASK", json.dumps({"task": task, "state": str(ti.state)}), flush=True)
print("STATE", str(run.state), flush=True)
"""
"""Nobody is asked whether the tiny model may be registered: there is nobody to answer."""
ENDED = re.compile(r"\[DAG TEST\] end task task_id=(\S+) map_index=(-?\d+)")


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
            student = tiny_model.kept(say, laptop.home / "tiny-models", environment)
            small = shrink(profile, directory, student=str(student), endpoint=address)
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


def _run(say: Say, name: str, directory: Path, environment: dict[str, str]) -> bool:
    """Run the DAG; its output goes to a log, its tasks are said as they end, and in the end those that did not succeed."""
    log = directory / "rehearsal.log"
    lines: list[str] = []
    with log.open("w", encoding="utf-8") as output:
        migrate = [str(PYTHON.with_name("airflow")), "db", "migrate"]
        code = subprocess.run(migrate, env=environment, stdout=output, stderr=output, check=False).returncode
        if not code:
            code = _followed(say, [str(PYTHON), "-c", SCRIPT, name, str(CHECKOUT / "dags")], environment, output, lines)
    tasks = [json.loads(line.removeprefix("TASK ")) for line in lines if line.startswith("TASK ")]
    for task in tasks:
        if task["state"] != "success":
            say(f"  {task['task']}: {task['state']}")
    if code or not tasks:
        say(f"the DAG did not run: {lines[-1].strip() if lines else 'its log is empty'}; read {log}")
        return False
    for line in [line for line in lines if "error: " in line][:5]:
        say(f"  {line.strip()}")
    return "STATE success\n" in lines


def _followed(say: Say, argv: list[str], environment: Mapping[str, str], output: TextIO, lines: list[str]) -> int:
    """Run a DAG, and take its lines as they come; returns its exit code."""
    began = time.monotonic()
    with subprocess.Popen(
        argv, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as dag:  # fmt: skip
        for line in dag.stdout or ():
            output.write(line)
            output.flush()
            lines.append(line)
            if ended := ENDED.search(line):
                task, index = ended.groups()
                say(f"  {task if index == '-1' else f'{task} {index}':44}{time.monotonic() - began:4.0f} s")
                began = time.monotonic()
    return dag.returncode
