import itertools
import pickle

import pytest
from torch.distributed import HashStore

from stillhouse.execution import processes


@pytest.fixture
def store(monkeypatch):
    """Rank 0 of two; the other one's words are put there by the test."""
    made = HashStore()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "_store", lambda: made)
    monkeypatch.setattr(processes, "_calls", itertools.count())
    monkeypatch.setattr(processes, "_put_before", [])
    return made


def test_gathered_values_are_removed_once_all_have_read_them(store):
    for call in (0, 2):
        store.set(f"{call}/1", pickle.dumps(f"theirs {call}"))
    assert processes.gathered("mine 0") == ["mine 0", "theirs 0"]
    assert store.check(["0/0"])  # the other rank may not have read it yet
    assert processes.from_first(lambda: "said") == "said"
    assert processes.gathered("mine 2") == ["mine 2", "theirs 2"]
    assert [store.check([key]) for key in ("0/0", "1/0", "2/0")] == [False, False, True]


def test_gathered_of_one_process_is_its_value_and_needs_no_store(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes.gathered("mine") == ["mine"]
    assert processes.from_first(lambda: "said") == "said"
