import os
import queue
import select
import threading
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from operators.process import StageProcess
from operators.retries import Outage


def make(**options):
    given = {"task_id": "graded", "stage": "graded", "recipe": "@toy/graded", "target": "file:///store/graded/toy/1"}
    return StageProcess(**(given | options))


def ended(pid: int) -> bool:
    """Whether the process ends within ten seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(handle):
        return bool(select.select([handle], [], [], 10)[0])


@pytest.fixture
def heard(monkeypatch):
    """Lines that the task logged, as a queue."""
    lines: queue.Queue[str] = queue.Queue()
    listener = SimpleNamespace(info=lambda form, *given: lines.put(form % given), warning=lambda *_: None)
    monkeypatch.setattr(StageProcess, "log", listener)
    return lines


def test_process_runs_the_command_with_its_slots_as_threads(fake_stage, heard):
    fake_stage("work")
    task = make(inputs={"verified": ["file:///v"]}, overrides='{"seed": 3}', pool_slots=2, parent_run="r1")

    task.execute({})

    layers = '--config @toy/graded --config {"seed": 3}'
    assert heard.get_nowait() == f"arguments graded {layers} --input verified=file:///v --output file:///store/graded/toy/1"
    assert heard.get_nowait() == "threads 2 run r1 airflow False"


def test_process_training_on_gpus_is_started_by_torchrun_with_its_share_of_threads(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PROGRAM", "/opt/bin/stillhouse")
    task = make(stage="sft", resources_needed={"nvidia.com/gpu": "2"}, pool_slots=8)
    assert task.cmds[:3] == ["/opt/bin/torchrun", "--standalone", "--nproc-per-node=2"]
    assert task._environment()["OMP_NUM_THREADS"] == "4"
    assert make(resources_needed={"nvidia.com/gpu": "2"}).cmds[0] == "/opt/bin/stillhouse"


def test_process_rank_that_could_not_reach_its_store_is_retried_with_its_words(fake_stage):
    fake_stage("rank unreachable")
    with pytest.raises(Outage, match=r"^s3://house: connection refused$"):
        make().execute({})


def test_process_rank_that_was_killed_is_named_by_what_torchrun_says_last(fake_stage):
    fake_stage("rank killed")
    with pytest.raises(AirflowException, match=r"exit code 1: traceback : Signal 9 \(SIGKILL\) received by PID 7$") as raised:
        make().execute({})
    assert not isinstance(raised.value, AirflowFailException)


def test_process_without_overrides_has_one_config_layer():
    assert make().cmds.count("--config") == 1


def test_process_refusing_stage_fails_at_once_with_its_line(fake_stage):
    fake_stage("refuse")
    with pytest.raises(AirflowFailException, match=r"^questions has 0 rows; give it some$"):
        make().execute({})


def test_process_stage_without_its_store_fails_with_its_line_to_be_retried(fake_stage):
    fake_stage("unreachable")
    with pytest.raises(Outage, match=r"^http://mlflow: connection refused$"):
        make().execute({})


def test_process_crashing_stage_fails_to_be_retried(fake_stage):
    fake_stage("crash")
    with pytest.raises(AirflowException, match="exit code 1: RuntimeError: out of luck") as raised:
        make().execute({})
    assert type(raised.value) is AirflowException


def test_process_killed_stage_names_the_signal(fake_stage):
    fake_stage("die")
    with pytest.raises(Outage, match="killed by SIGKILL"):
        make().execute({})


def test_process_missing_program_says_which_variable_to_set(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PROGRAM", "/nowhere/stillhouse")
    with pytest.raises(AirflowFailException, match="STILLHOUSE_PROGRAM"):
        make().execute({})


def test_process_on_kill_leaves_no_process(fake_stage, heard):
    log = fake_stage("hang")
    task = make()
    raised: list[BaseException] = []

    def run():
        try:
            task.execute({})
        except AirflowException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while heard.get(timeout=20) != "started":
        continue
    task.on_kill()
    thread.join(20)

    assert "killed by SIGTERM" in str(raised[0])
    assert all(ended(int(pid)) for pid in log.read_text().split())


def test_process_ended_stage_takes_its_children_along(fake_stage):
    log = fake_stage("leave")
    make().execute({})
    parent, child = map(int, log.read_text().split())
    assert parent != os.getpid()
    assert ended(child)
