import threading
from pathlib import Path

import pytest

from stillhouse.errors import RankLost, StoreFailed
from stillhouse.execution import processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training import checkpoint_upload
from stillhouse.training.checkpoint_upload import CheckpointUpload

FILES = [Path(f"checkpoint-2/{number}") for number in range(6)]
LIST, OLD = Path("checkpoint-2/whole.json"), [Path("checkpoint-1/0"), Path("checkpoint-1/whole.json")]


class Store:
    """What was published and taken back, in order."""

    def __init__(self, failing=None):
        self.published, self.retracted, self.failing = [], [], failing
        self.entered, self.free = threading.Event(), threading.Event()
        self.free.set()

    def publish(self, path):
        self.entered.set()
        assert self.free.wait(50)
        if path == self.failing:
            raise StoreFailed("no room")
        self.published.append(path)

    def upload(self):
        inputs = StageInputs(scratch=Path("scratch"), publish_part=self.publish, retract_part=self.retracted.append)
        started = CheckpointUpload(inputs, 2, FILES, LIST, OLD)
        started.start()
        return started


def test_upload_publishes_the_list_last_and_then_takes_back_the_one_before():
    store = Store()
    store.upload().finish()
    assert set(store.published[:-1]) == set(FILES)
    assert store.published[-1] == LIST
    assert store.retracted == OLD


@pytest.mark.parametrize("failing", [FILES[4], LIST])
def test_upload_that_fails_takes_back_its_files_and_keeps_the_checkpoint_before(failing):
    store = Store(failing)
    with pytest.raises(StoreFailed, match="no room"):
        store.upload().finish()
    assert sorted(store.retracted) == sorted(store.published)
    assert LIST not in store.published


def test_upload_that_is_cancelled_publishes_no_list():
    store = Store()
    store.free.clear()
    upload = store.upload()
    assert store.entered.wait(50)
    cancelling = threading.Thread(target=upload.cancel)
    cancelling.start()
    assert upload._cancelled.wait(50)
    store.free.set()
    cancelling.join()
    assert len(store.published) <= checkpoint_upload.SENDERS
    assert LIST not in store.published
    assert store.retracted == []


def of_two(monkeypatch, rank, answers):
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "rank", lambda: rank)
    monkeypatch.setattr(checkpoint_upload, "POLL_S", 0)
    said = []
    monkeypatch.setattr(checkpoint_upload, "announce", lambda name, text: said.append((name, text)))
    monkeypatch.setattr(checkpoint_upload, "announced", lambda name, of_rank: answers.pop(0))
    return said


def test_upload_of_rank_0_waits_for_the_other_ranks_before_the_list(monkeypatch):
    answers = [None, None, ""]
    said, store = of_two(monkeypatch, 0, answers), Store()
    store.upload().finish()
    assert answers == []
    assert said == [("2/sent", "")]
    assert store.published[-1] == LIST


def test_upload_of_rank_0_fails_if_another_rank_does(monkeypatch):
    of_two(monkeypatch, 0, [None, "no room"])
    store = Store()
    with pytest.raises(RankLost, match="rank 1 did not upload its share of checkpoint 2: no room"):
        store.upload().finish()
    assert LIST not in store.published


def test_upload_of_another_rank_says_that_its_share_is_there_and_writes_no_list(monkeypatch):
    said, store = of_two(monkeypatch, 1, []), Store()
    store.upload().finish()
    assert sorted(store.published) == FILES
    assert said == [("2/sent", "")]
    said, store = of_two(monkeypatch, 1, []), Store(FILES[0])
    with pytest.raises(StoreFailed):
        store.upload().finish()
    assert said == [("2/sent", "no room")]
