import os
import subprocess
import sys

from stillhouse.artifacts import scratch
from stillhouse.artifacts.scratch import ALIVE, scratch_directory


def test_scratch_of_a_killed_process_is_swept_and_that_of_a_live_one_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SCRATCH", str(tmp_path))
    code = "from stillhouse.artifacts.scratch import scratch_directory as s\nwith s() as path: print(path, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    left = tmp_path / process.stdout.readline().strip().rsplit("/", 1)[-1]
    with scratch_directory():
        assert left.is_dir()
    process.kill()
    process.communicate()
    assert left.is_dir()
    with scratch_directory() as own:
        assert not left.exists()
        assert own.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_scratch_directories_of_others_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SCRATCH", str(tmp_path))
    (tmp_path / "stillhouse-notes").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ALIVE).write_text("")
    with scratch_directory():
        assert sorted(path.name for path in tmp_path.iterdir() if not (path / ALIVE).exists()) == ["stillhouse-notes"]
    assert (tmp_path / "mine").is_dir()


def test_scratch_of_another_machine_on_a_shared_disk_is_left_alone(tmp_path, monkeypatch):
    """A lock of that machine may mean nothing here."""
    monkeypatch.setenv("STILLHOUSE_SCRATCH", str(tmp_path))
    for name, machine in {"theirs": "node-7\nboot-7", "ours": "\n".join(scratch._machine())}.items():
        (tmp_path / f"stillhouse-{name}").mkdir()
        (tmp_path / f"stillhouse-{name}" / ALIVE).write_text(machine)
    with scratch_directory():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["stillhouse-theirs"]
