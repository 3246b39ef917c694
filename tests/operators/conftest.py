import os
import sys
from pathlib import Path

import pytest

# Airflow reads these when it is first imported; nothing here may touch a database or a home of the machine's user.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

FAKE = f"""#!{sys.executable}
import os, subprocess, sys, time
mode, log = os.environ["FAKE_MODE"], os.environ["FAKE_LOG"]
print("arguments", *sys.argv[1:], flush=True)
print("threads", os.environ["OMP_NUM_THREADS"], "run", os.environ["MLFLOW_RUN_ID"], "airflow", "AIRFLOW_HOME" in os.environ)
if mode == "refuse":
    sys.exit("error: questions has 0 rows; give it some")
if mode == "crash":
    raise RuntimeError("out of luck")
if mode == "die":
    os.kill(os.getpid(), 9)
if mode in ("hang", "leave"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(log, "w").write(f"{{os.getpid()}} {{child.pid}}")
    print("started", flush=True)
    time.sleep(600 if mode == "hang" else 0)
"""


@pytest.fixture
def fake_stage(tmp_path, monkeypatch):
    """A ``stillhouse`` that behaves as told: call with a mode; returns the file where it writes its and its child's pid."""
    program, log = tmp_path / "stillhouse", tmp_path / "pids"
    program.write_text(FAKE)
    program.chmod(0o755)

    def behave(mode: str) -> Path:
        monkeypatch.setenv("STILLHOUSE_PROGRAM", str(program))
        monkeypatch.setenv("FAKE_MODE", mode)
        monkeypatch.setenv("FAKE_LOG", str(log))
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
        return log

    return behave
