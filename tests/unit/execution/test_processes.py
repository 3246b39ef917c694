import pickle
import threading

import pytest
from torch.distributed import HashStore

from stillhouse.errors import BadConfig, MissingInput, RankLost
from stillhouse.execution import processes


@pytest.fixture
def store(monkeypatch):
    """Rank 0 of two; the other one's words are put there by the test."""
    made = HashStore()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "shared_store", lambda: made)
    monkeypatch.setattr(processes, "_position", processes._Position())
    return made


def test_gathered_values_are_removed_once_all_have_read_them(store):
    for call in (0, 2):
        store.set(f"0/{call}/1", pickle.dumps(f"theirs {call}"))
    assert processes.gathered("mine 0") == ["mine 0", "theirs 0"]
    assert store.check(["0/0/0"])  # the other rank may not have read it yet
    assert processes.from_first(lambda: "said") == "said"
    assert processes.gathered("mine 2") == ["mine 2", "theirs 2"]
    assert [store.check([key]) for key in ("0/0/0", "0/1/0", "0/2/0")] == [False, False, True]


def test_gathered_of_one_process_is_its_value_and_needs_no_store(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes.gathered("mine") == ["mine"]
    assert processes.from_first(lambda: "said") == "said"


def leaves(store, block: int, failure: processes._Failure | None = None) -> None:
    """The other rank leaves a block."""
    store.set(f"{block}/left/1", pickle.dumps(failure))


def test_together_all_leave_well_and_the_next_block_counts_anew(store):
    leaves(store, 0)
    with processes.together():
        processes.from_first(lambda: "said")
    assert processes.from_first(lambda: "more") == "more"
    assert store.check(["0/left/0", "1/0/0"])


def test_together_refusal_of_another_rank_is_raised_here_in_its_words(store):
    leaves(store, 0, processes._Failure("BadConfig", "batch_size 3 cannot be shared", 1))
    with pytest.raises(BadConfig, match="^batch_size 3 cannot be shared$"), processes.together():
        pass


def test_together_own_consequence_of_anothers_refusal_gives_way_to_it(store):
    leaves(store, 0, processes._Failure("BadConfig", "batch_size 3 cannot be shared", 1))
    with pytest.raises(BadConfig, match="^batch_size 3 cannot be shared$") as caught, processes.together():
        raise FileNotFoundError("inputs/x")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_together_rank_that_failed_does_not_leave_before_the_others(store):
    refusal, left = BadConfig("batch_size 3"), threading.Event()

    def other() -> None:
        while not store.check(["0/left/0"]):
            pass
        left.set()  # only now, and after the refusal is known
        leaves(store, 0, processes._Failure("BadConfig", "batch_size 3", 1))

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(BadConfig) as caught, processes.together():
        raise refusal
    thread.join()
    assert left.is_set()
    assert caught.value is refusal


def test_together_rank_that_never_leaves_is_waited_for_a_while_alone(store, monkeypatch):
    monkeypatch.setattr(processes, "LEAVE_S", 0.05)
    with pytest.raises(BadConfig, match="batch_size 3"), processes.together():
        raise BadConfig("batch_size 3")


def test_together_error_of_another_rank_that_is_not_ours_names_the_rank(store):
    leaves(store, 0, processes._Failure("", "CUDA out of memory", 1))
    with pytest.raises(RankLost, match="^rank 1 failed: CUDA out of memory$"), processes.together():
        pass


def test_together_lost_rank_is_not_waited_for(store):
    with pytest.raises(RankLost, match="gone"), processes.together():
        raise RankLost("the other ranks are gone")
    assert pickle.loads(store.get("0/left/0")).message == "the other ranks are gone"  # who waits for this rank learns it


def test_gathered_waiting_for_a_rank_that_failed_raises_its_error(store):
    leaves(store, 0, processes._Failure("MissingInput", "no such split", 1))
    with pytest.raises(MissingInput, match="^no such split$"):
        processes.gathered("mine")


def test_from_first_error_is_shared(store, monkeypatch):
    def refuse() -> str:
        raise MissingInput("nothing is published there")

    with pytest.raises(MissingInput, match="nothing is published there"):
        processes.from_first(refuse)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(processes, "_position", processes._Position())
    with pytest.raises(MissingInput, match="^nothing is published there$"):
        processes.from_first(lambda: pytest.fail("rank 1 does not call it"))


@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({"cpu.max": "200000 100000"}, "0::/", 2),
        ({"cpu.max": "150000 100000"}, "0::/", 2),
        ({"cpu.max": "50000 100000"}, "0::/", 1),
        ({"cpu.max": "max 100000"}, "0::/", 8),
        ({"pod/cpu.max": "300000 100000", "pod/box/cpu.max": "max 100000"}, "0::/pod/box", 3),
        ({"cpu/pod/cpu.cfs_quota_us": "400000", "cpu/pod/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/pod\n3:memory:/", 4),
        ({"cpu/pod/cpu.cfs_quota_us": "-1", "cpu/pod/cpu.cfs_period_us": "100000"}, "4:cpu:/pod", 8),
        ({"cpu.max": "1600000 100000"}, "0::/", 8),
        ({}, "0::/", 8),
    ],
)
def test_usable_cores_are_no_more_than_the_cgroup_s_quota(monkeypatch, tmp_path, files, membership, cores):
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "membership").write_text(membership + "\n")
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: set(range(8)))
    assert processes.usable_cores(tmp_path / "cgroup", tmp_path / "membership") == cores


def test_usable_cores_without_cgroups_are_those_the_process_may_run_on(monkeypatch, tmp_path):
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: {0, 5})
    assert processes.usable_cores(tmp_path, tmp_path / "none") == 2
