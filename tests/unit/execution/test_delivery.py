import threading
import time
from collections import deque

import pytest

from stillhouse.execution import delivery as deliveries
from stillhouse.execution.delivery import Delivery, deliver, deliver_abandoned
from stillhouse.execution.mlflow_runs import Away, Denied, Refused
from stillhouse.execution.run_spool import RunSpool

HEADER = {"kind": "run", "execution": "e1", "server": "http://a"}


class Server:
    """Keeps what it is sent, by record number; ``faults`` are raised first, ``lost`` replies after the work was done."""

    def __init__(self, *faults: Exception, lost: int = 0) -> None:
        self.faults, self.lost = deque(faults), lost
        self.got: list[tuple[str, int]] = []
        self.created = 0
        self.hanging: threading.Event | None = None

    def create(self, header, *, again):
        self._fault()
        self.created += 0 if again and self.created else 1
        self._lose()
        return "run-1"

    def send(self, run_id, records, directory):
        self._fault()
        assert run_id == "run-1"
        self.got += [(each["kind"], each["n"]) for each in records if (each["kind"], each["n"]) not in self.got]
        self._lose()

    def _fault(self) -> None:
        if self.hanging:
            self.hanging.wait(60)
        if self.faults:
            raise self.faults.popleft()

    def _lose(self) -> None:
        if self.lost:
            self.lost -= 1
            raise Away("the reply was lost")


@pytest.fixture
def spool(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLHOUSE_SPOOL", str(tmp_path))
    made = RunSpool(tmp_path / "e1.jsonl", dict(HEADER))
    for step in range(3):
        made.append({"kind": "metrics", "step": step})
    made.append({"kind": "params"})
    made.append({"kind": "metrics", "step": 3})
    return made


EVERYTHING = [("metrics", 1), ("metrics", 2), ("metrics", 3), ("params", 4), ("metrics", 5)]


def sent(spool: RunSpool, server: Server) -> bool:
    delivery = Delivery(spool, server, "http://a")
    delivery.start()
    return delivery.finish(30)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(deliveries, "backoff_s", lambda failures, jitter: 0.001)


def test_deliver_neighbouring_metrics_go_in_one_request(spool):
    requests = []
    server = Server()
    send = server.send
    server.send = lambda run_id, records, directory: requests.append(len(records)) or send(run_id, records, directory)
    assert deliver(spool, server, []) == 5
    assert (requests, deliver(spool, server, [])) == ([3, 1, 1], 0)


@pytest.mark.parametrize("n_faults", [1, 3, 10])
def test_delivery_outage_that_ends_everything_arrives_in_order_and_once(spool, n_faults):
    server = Server(*(Away("connection refused") for _ in range(n_faults)))
    assert sent(spool, server)
    assert (server.got, server.created) == (EVERYTHING, 1)


def test_delivery_lost_replies_create_one_run_and_double_no_record(spool):
    server = Server(lost=6)
    assert sent(spool, server)
    assert (server.got, server.created) == (EVERYTHING, 1)


def test_delivery_server_that_hangs_holds_up_neither_the_stage_nor_its_end(spool):
    server = Server()
    server.hanging = threading.Event()
    delivery = Delivery(spool, server, "http://a")
    begun = time.monotonic()
    delivery.start()
    for step in range(10_000):
        spool.append({"kind": "metrics", "step": step})
    assert not delivery.finish(0.2)
    assert time.monotonic() - begun < 5
    spool.close()
    server.hanging.set()
    delivery.join(30)
    assert not delivery.is_alive()


def test_delivery_record_that_is_refused_is_passed_over_and_said(spool):
    spool.created("run-1")
    server = Server(Refused("a bad name"))
    delivery = Delivery(spool, server, "http://a")
    delivery.start()
    assert delivery.finish(30)
    assert (server.got, delivery.refused) == (EVERYTHING[3:], ["a bad name"])


def test_delivery_credentials_that_expire_lose_nothing(spool):
    spool.created("run-1")
    server = Server(Denied("401"), Denied("401"))
    assert sent(spool, server)
    assert server.got == EVERYTHING


def test_delivery_denied_at_the_start_is_known_after_the_first_try(spool):
    delivery = Delivery(spool, Server(*(Denied("401") for _ in range(10_000))), "http://a")
    delivery.start()
    delivery.wait_for_run(30)
    assert delivery.denied == "401"
    assert not delivery.finish(0)
    delivery.join(30)


def test_delivery_long_outage_is_said_once(spool, monkeypatch, capsys):
    monkeypatch.setattr(deliveries, "SAID_AFTER_S", 0.0)
    assert sent(spool, Server(*(Away("connection\nrefused") for _ in range(9))))
    assert capsys.readouterr().err == (
        "  MLflow at http://a does not answer (connection refused); the stage goes on, and its numbers wait on this disk\n"
    )


def test_abandoned_run_of_a_killed_process_arrives_and_is_closed_as_killed(spool, tmp_path):
    deliver(spool, Server(), [])
    spool.append({"kind": "metrics", "step": 4})
    spool.close()
    server = Server()
    assert deliver_abandoned(server, "http://a") == (1, 0)
    assert server.got == [("metrics", 6), ("end", 7)]
    assert list(tmp_path.iterdir()) == []


def test_abandoned_server_still_away_keeps_the_spool_for_later(spool, tmp_path):
    spool.append({"kind": "end", "status": "FINISHED", "at": 1})
    spool.close()
    assert deliver_abandoned(Server(Away("refused")), "http://a") == (0, 1)
    server = Server()
    assert deliver_abandoned(server, "http://a") == (1, 0)
    assert server.got == [*EVERYTHING, ("end", 6)]


def test_abandoned_credentials_refused_is_raised_and_nothing_is_lost(spool):
    spool.close()
    with pytest.raises(Denied):
        deliver_abandoned(Server(Denied("401")), "http://a")
    assert deliver_abandoned(Server(), "http://a") == (1, 0)
