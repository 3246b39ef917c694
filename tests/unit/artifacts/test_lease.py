import re
import threading
from datetime import UTC, datetime, timedelta

import pytest

from stillhouse.artifacts import claiming, lease, store
from stillhouse.artifacts.lease import CLAIM, Claim, Work
from stillhouse.errors import LeaseLost, StoreFailed, WriterStalled

WORK = Work(stage="questions", fingerprint="f1", config={"a": 1}, inputs={})
OTHER = WORK.model_copy(update={"fingerprint": "f2", "config": {"a": 2}})


@pytest.fixture
def uri(tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("STILLHOUSE_LEASE_S", "0.3")
    return f"{tmp_path.as_uri()}/questions/toy/1"


def put(uri: str, version: int | None = None, **changes) -> Claim:
    """The claim of a process on another machine."""
    claim = lease.first_claim(WORK, None)
    owner = claim.owner.model_copy(update={"kernel": "another", **changes.pop("owner", {})})
    claim = claim.model_copy(update={"owner": owner, **changes})
    store.store_of(uri).swap(f"{uri}/{CLAIM}", claim.model_dump_json().encode(), version)
    return claim


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(0), timedelta(days=1)])
def test_take_silent_owner_is_taken_over_after_its_lease_whatever_its_clock_says(uri, skew, capsys):
    left = put(uri, owner={"started": datetime.now(UTC) + skew}, lease_s=0.3)
    taken = claiming.take(uri, WORK)
    taken.close()
    assert taken.claim.attempts == [left.owner.attempt, taken.claim.owner.attempt]
    said = capsys.readouterr().err
    assert said.index("waiting for") < said.index("taking over from")


def test_take_of_other_work_discards_the_attempts_before(uri):
    left = put(uri, released=True)
    taken = claiming.take(uri, OTHER)
    taken.close()
    assert (taken.claim.attempts, taken.claim.discarded) == ([taken.claim.owner.attempt], [left.owner.attempt])


def test_take_owner_that_is_gone_from_this_machine_is_not_waited_for(uri):
    own = lease.first_claim(WORK, None).owner
    put(uri, owner={"kernel": own.kernel, "pid": own.pid, "start": "1"}, lease_s=1e6)
    claiming.take(uri, WORK).close()


def test_lease_that_is_renewed_is_not_taken_over(uri):
    held = claiming.take(uri, WORK)
    taken: list[lease.Lease] = []
    waiter = threading.Thread(target=lambda: taken.append(claiming.take(uri, WORK)))
    waiter.start()
    waiter.join(4 * held.claim.lease_s)
    assert taken == []
    held.check()
    held.release()
    waiter.join()
    taken[0].close()


def test_take_owner_that_hangs_while_its_heartbeat_goes_on_is_named_and_not_waited_for_any_longer(uri, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STALLED_S", "0.5")
    held = claiming.take(uri, WORK)
    held.reach("36 of 188")
    owner = re.escape(str(held.claim.owner))
    with pytest.raises(WriterStalled, match=rf"{owner} holds this output .* no progress for 1 s at 36 of 188; end that process"):
        claiming.take(uri, WORK)
    held.check()
    held.release()
    claiming.take(uri, WORK).close()


def test_watched_writer_is_waited_for_as_long_as_it_makes_progress_and_its_progress_is_told(uri, monkeypatch, capsys):
    now = [1000.0]
    monkeypatch.setattr(claiming.time, "monotonic", lambda: now[0])
    watched, claim = claiming.Watched(uri, WORK), put(uri, lease_s=1000)
    for beat in range(100):
        assert not watched.is_free(claim.model_copy(update={"beat": beat, "progress": f"{beat // 40} of 3"}))
        now[0] += 500
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 50
    assert f"still waiting for {claim.owner}, for 17 min; it is at 0 of 3, without progress for 17 min" in said[1]
    now[0] += 21_600
    with pytest.raises(WriterStalled, match="no progress for 9 h at 2 of 3"):
        watched.is_free(claim.model_copy(update={"beat": 100, "progress": "2 of 3"}))


def test_lease_that_was_taken_over_is_lost_before_the_next_upload(uri):
    held = claiming.take(uri, WORK)
    held.close()
    _, version = claiming.read(uri)
    put(uri, version)
    with pytest.raises(LeaseLost, match="another process took this output over"):
        held.renew()
    with pytest.raises(LeaseLost):
        held.check()


def test_lease_sleeper_looks_before_it_uploads(uri, monkeypatch):
    held = claiming.take(uri, WORK)
    held.close()
    _, version = claiming.read(uri)
    put(uri, version)
    now = lease._clock()
    monkeypatch.setattr(lease, "_clock", lambda: now + 100)
    with pytest.raises(LeaseLost):
        held.check()


def test_lease_released_is_free_at_once(uri, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_LEASE_S", "1000")
    claiming.take(uri, WORK).release()
    claiming.take(uri, WORK).close()


def test_owner_of_another_user_that_the_system_hides_is_not_gone(monkeypatch):
    owner = lease.first_claim(WORK, None).owner.model_copy(update={"start": "1"})
    monkeypatch.setattr(lease, "_start", lambda pid: None)

    def forbid(pid: int, signal: int) -> None:
        raise PermissionError

    assert owner.is_gone
    monkeypatch.setattr(lease.os, "kill", forbid)
    assert not owner.is_gone


def test_lease_heartbeat_outlives_an_error_of_the_store_that_nobody_foresaw(uri, monkeypatch, capsys):
    held = claiming.take(uri, WORK)
    swap, failed = store.FileStore.swap, threading.Event()

    def fail_once(*given):
        if not failed.is_set():
            failed.set()
            raise RuntimeError("reply of another form")
        return swap(*given)

    monkeypatch.setattr(store.FileStore, "swap", fail_once)
    assert failed.wait(10)
    beat = held.claim.beat
    while held.claim.beat == beat:
        assert held._thread.is_alive()
    held.close()
    assert "the claim was not renewed (reply of another form)" in capsys.readouterr().err


def test_lease_of_endless_length_is_a_days(uri, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_LEASE_S", "inf")
    assert lease.first_claim(WORK, None).lease_s == 86_400


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, StoreFailed])
def test_take_interrupted_once_its_claim_was_written_leaves_it_released(uri, monkeypatch, interruption):
    monkeypatch.setenv("STILLHOUSE_LEASE_S", "1000")
    write = store.FileStore.write

    def interrupted(*given, **named):
        write(*given, **named)
        monkeypatch.undo()
        raise interruption

    monkeypatch.setattr(store.FileStore, "write", interrupted)
    with pytest.raises(interruption):
        claiming.take(uri, WORK)
    assert claiming.read(uri)[0].released
