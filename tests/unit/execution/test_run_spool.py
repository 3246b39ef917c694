import json
import random

import pytest

from stillhouse.execution import run_spool as spools
from stillhouse.execution.run_spool import RunSpool

HEADER = {"kind": "run", "execution": "e1", "server": "http://a"}


@pytest.fixture
def directory(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLHOUSE_SPOOL", str(tmp_path))
    return tmp_path


def metric(step: int) -> dict:
    return {"kind": "metrics", "at": 1, "step": step, "values": {"loss": 0.5}}


def filled(path, n: int, limit_bytes: int = spools.LIMIT_BYTES) -> RunSpool:
    spool = RunSpool(path, dict(HEADER), limit_bytes)
    for step in range(n):
        spool.append(metric(step))
    return spool


def steps(spool: RunSpool, most: int = 10**6) -> list[int]:
    return [record["step"] for record in spool.waiting(most) if record["kind"] == "metrics"]


def test_waiting_records_come_in_order_until_they_are_sent(directory):
    spool = filled(directory / "a.jsonl", 5)
    assert steps(spool, 2) == [0, 1]
    assert steps(spool, 2) == [0, 1]
    spool.sent(2)
    assert steps(spool, 2) == [2, 3]
    spool.sent(4)
    spool.append(metric(5))
    assert steps(spool, 9) == [4, 5]
    spool.sent(6)
    assert spool.waiting(9) == []


def test_spool_of_a_killed_writer_goes_on_where_the_server_stopped(directory):
    spool = filled(directory / "a.jsonl", 5)
    spool.created("run-7")
    spool.sent(3)
    spool.close()
    with (directory / "a.jsonl").open("ab") as file:
        file.write(b'{"n":6,"kind":"metr')  # killed while it wrote
    again = RunSpool(directory / "a.jsonl")
    assert (again.header["run_id"], steps(again)) == ("run-7", [3, 4])
    again.append(metric(9))
    assert steps(again) == [3, 4, 9]


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_spool_cut_at_any_byte_loses_its_end_alone(directory, cut):
    filled(directory / "a.jsonl", 5).close()
    data = (directory / "a.jsonl").read_bytes()
    (directory / "a.jsonl").write_bytes(data[:-cut] if cut else data)
    if data[: -cut or None].count(b"\n") == 0:
        with pytest.raises(ValueError, match="not a spool"):
            RunSpool(directory / "a.jsonl")
        return
    found = steps(RunSpool(directory / "a.jsonl"))
    assert found == list(range(len(found)))


def test_abandoned_is_of_this_server_and_not_of_a_living_writer(directory):
    for name in ("dead", "other"):
        filled(directory / f"{name}.jsonl", 1).close()
    data = (directory / "other.jsonl").read_text().replace("http://a", "http://b")
    (directory / "other.jsonl").write_text(data)
    (directory / "damaged.jsonl").write_text("what is this")
    living = filled(directory / "living.jsonl", 1)
    assert [each.path.name for each in spools.abandoned("http://a")] == ["dead.jsonl"]
    assert (directory / "damaged.damaged").exists()
    living.remove()


def test_bound_what_was_sent_goes_first_and_nothing_is_thinned(directory):
    spool = RunSpool(directory / "a.jsonl", dict(HEADER), 20_000)
    for step in range(2000):
        spool.append(metric(step))
        spool.sent(step + 1)
    spool.append(metric(2000))
    assert (spool.n_thinned, steps(spool)) == (0, [2000])
    assert spool.path.stat().st_size < 21_000


def test_bound_the_oldest_metrics_are_thinned_and_counted_and_nothing_else_is_dropped(directory):
    spool = RunSpool(directory / "a.jsonl", dict(HEADER), 40_000)
    spool.append({"kind": "params", "values": {"a": "1"}})
    for step in range(3000):
        spool.append(metric(step))
    spool.append({"kind": "text", "name": "manifest.json", "text": "x" * 10_000})
    kept, kinds = steps(spool), [record["kind"] for record in spool.waiting(10**6)]
    assert (kinds.count("params"), kinds.count("text")) == (1, 1)
    assert kept == sorted(kept)
    assert kept[-1] == 2999
    assert spool.n_thinned == 3000 - len(kept) > 1000
    newer = sum(step >= 1500 for step in kept)
    assert newer > len(kept) - newer  # the newest are kept the most densely
    assert json.loads((directory / "a.jsonl").read_text().splitlines()[0])["n_thinned"] > 0


def test_random_appends_sends_and_kills_neither_lose_nor_double_a_record(directory):
    draw, got, step = random.Random(0), [], 0
    spool = RunSpool(directory / "a.jsonl", dict(HEADER), 3000)
    for _ in range(400):
        action = draw.choice(["append", "append", "send", "kill"])
        if action == "append" and len(spool.waiting(10**6)) < 15:  # below half the limit nothing is thinned
            spool.append(metric(step))
            step += 1
        elif action == "send" and (records := spool.waiting(draw.randrange(1, 8))):
            got += [record["step"] for record in records]
            spool.sent(records[-1]["n"])
        elif action == "kill":
            spool.close()
            spool = RunSpool(directory / "a.jsonl", limit_bytes=3000)
    assert got + steps(spool) == list(range(step))
    assert step > 50


def test_files_are_copied_and_removed_with_the_spool(directory):
    spool, page = filled(directory / "a.jsonl", 1), directory / "page.html"
    page.write_text("<p>")
    kept = directory / spool.keep_file(page)
    page.unlink()
    assert kept.read_text() == "<p>"
    spool.remove()
    assert list(directory.iterdir()) == []


def test_directory_is_this_users_alone(directory, monkeypatch):
    monkeypatch.delenv("STILLHOUSE_SPOOL")
    monkeypatch.setenv("STILLHOUSE_SCRATCH", str(directory))
    assert spools.directory().parent == directory
    assert spools.directory().stat().st_mode & 0o777 == 0o700


class FullDisk:
    """A file that takes half of the next line and then no more until there is room."""

    def __init__(self, file):
        self._file, self.room = file, False

    def write(self, data):
        return self._file.write(data if self.room else data[: len(data) // 2])

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("end", ["close", "remove"])
def test_disk_that_is_full_loses_that_record_alone_and_the_spool_ends_well(directory, end):
    spool = filled(directory / "a.jsonl", 2)
    spool._file = full = FullDisk(spool._file)
    with pytest.raises(OSError, match="No space left"):
        spool.append(metric(2))
    full.room = True
    spool.append(metric(3))
    assert steps(spool) == [0, 1, 3]
    getattr(spool, end)()
    assert (directory / "a.jsonl").exists() == (end == "close")
