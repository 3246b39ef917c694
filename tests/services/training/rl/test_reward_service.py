"""The endpoint term against loopback services, and the example service of the docs."""

import itertools
import json
import re
import runpy
import socket
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.stages import rl
from stillhouse.training.rl.reward_terms import reward_service
from stillhouse.training.rl.reward_terms.reward_service import EndpointReward
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.verification.verdict import Verdict

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "examples" / "reward_service.py"
QUESTION = testing.question("What is 1 + 1?", "2")


def rollouts(*texts):
    return [Rollout(QUESTION, text, [1], Verdict("correct", 1.0, "math")) for text in texts]


@contextmanager
def service(answer, monkeypatch, **settings):
    """The term that asks a service, and the requests so far; it replies with ``answer(rollouts, number of the request)``."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rollouts"]
            asked.append(body)
            status, reply = answer(body, len(asked))
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STILLHOUSE_REWARDS", f"other=http://127.0.0.1:1, style=http://127.0.0.1:{server.server_port}/score?a=b")
    try:
        yield term(**settings), asked
    finally:
        server.shutdown()
        server.server_close()


def term(**settings):
    return EndpointReward(rl.Config(rewards=[{"kind": "endpoint", "name": "style", **settings}]).rewards[0])


def lengths(body, number):
    return 200, {"rewards": [len(each["response"]) / 10 for each in body]}


def test_endpoint_is_sent_question_response_and_verdict_in_batches_and_its_order_is_kept(monkeypatch):
    with service(lengths, monkeypatch, batch_size=2) as (style, asked):
        rewards = style.score(rollouts("a", "ab", "abc", "abcd", "abcde"))
    assert [reward.value for reward in rewards] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert sorted(len(batch) for batch in asked) == [1, 2, 2]
    (first,) = [each for batch in asked for each in batch if each["response"] == "a"]
    assert first == {
        "question_id": QUESTION.question_id, "category": "math", "messages": [{"role": "user", "content": "What is 1 + 1?"}],
        "reference_answer": "2", "response": "a", "verdict": {"kind": "correct", "score": 1.0},
    }  # fmt: skip


def test_endpoint_null_is_no_failure_and_a_stated_error_fails_its_rollout_alone(monkeypatch):
    reply = {"rewards": [1, None, {"error": "too long"}, "x", float("nan"), True]}
    with service(lambda body, number: (200, reply), monkeypatch) as (style, _):
        rewards = style.score(rollouts(*"abcdef"))
    assert rewards[:2] == [TermReward(1), TermReward(None)]
    assert [reward.failure for reward in rewards[2:]] == ["error", "bad_reply", "error", "bad_reply"]
    assert rewards[2].detail == "too long"


def test_endpoint_outage_is_tried_again_and_a_refusal_is_not(monkeypatch):
    with service(lambda body, number: (503, b"busy") if number == 1 else lengths(body, number), monkeypatch) as (style, asked):
        assert style.score(rollouts("ab")) == [TermReward(0.2)]
        assert len(asked) == 2
    with service(lambda body, number: (404, b"no such\npath"), monkeypatch) as (style, asked):
        assert style.score(rollouts("a", "b")) == [TermReward(None, "refused", "HTTP 404: 'no such path'")] * 2
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        ({"rewards": [1]}, "1 rewards for 2 rollouts"),
        (b"<html>", "its reply is not .* in JSON but '<html>'"),
        ([1, 2], "its reply is not"),
        ({"rewards": None}, "its reply is not"),
    ],
)
def test_endpoint_reply_that_breaks_the_protocol_fails_the_batch(monkeypatch, reply, detail):
    with service(lambda body, number: (200, reply), monkeypatch) as (style, _):
        rewards = style.score(rollouts("a", "b"))
    assert [reward.failure for reward in rewards] == ["bad_reply"] * 2
    assert re.search(detail, rewards[0].detail)


def test_endpoint_that_does_not_answer_in_time_fails_the_batch(monkeypatch):
    held = threading.Event()
    with service(lambda body, number: (200, {"rewards": [held.wait(30)]}), monkeypatch, timeout_s=0.5) as (style, _):
        (reward,) = style.score(rollouts("a"))
        held.set()
    assert (reward.value, reward.failure) == (None, "timeout")


@contextmanager
def slow_service(monkeypatch, pieces):
    """The term that asks a service whose reply comes in these pieces, each when the term has read the one before; it never ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                if over.wait(0.05):
                    break
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            over.wait()

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setenv("STILLHOUSE_REWARDS", f"style=http://127.0.0.1:{listener.getsockname()[1]}")
    try:
        yield
    finally:
        over.set()
        listener.close()


def test_endpoint_reply_that_trickles_in_past_the_deadline_fails_the_batch(monkeypatch):
    """Each piece comes in time, and there is always one more."""
    with slow_service(monkeypatch, itertools.repeat(b" ")):
        (reward,) = term(timeout_s=1).score(rollouts("a"))
    assert reward.failure == "timeout"
    assert "was not complete in time, after" in reward.detail


def test_endpoint_reply_without_end_fails_the_batch(monkeypatch):
    monkeypatch.setattr(reward_service, "REPLY_BYTES", 1000)
    with slow_service(monkeypatch, itertools.repeat(b" " * 400)):
        (reward,) = term(timeout_s=60).score(rollouts("a"))
    assert reward == TermReward(None, "bad_reply", "its reply exceeds 1,000 bytes")


@pytest.mark.parametrize("value", ["1e400", "-1e12", "1" + "0" * 400])
def test_endpoint_reward_that_the_update_cannot_hold_fails_its_rollout_alone(monkeypatch, value):
    reply = b'{"rewards": [0.5, %s]}' % value.encode()
    with service(lambda body, number: (200, reply), monkeypatch) as (style, _):
        fine, failed = style.score(rollouts("a", "b"))
    assert fine == TermReward(0.5)
    assert (failed.value, failed.failure) == (None, "error")
    assert "not a finite number" in failed.detail or "beyond 1,000,000,000" in failed.detail


def test_endpoint_preflight_refuses_what_does_not_answer_as_it_should(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STILLHOUSE_REWARDS", f"style=http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(EngineFailed, match="reward style: the service at http://127.0.0.1:.* does not answer as it should"):
            term().preflight()
    nothing = service(lambda body, number: (200, {"scores": []}), monkeypatch)
    with nothing as (style, _), pytest.raises(EngineFailed, match="is not"):
        style.preflight()


def test_endpoint_version_in_the_recipe_must_be_the_service_s(monkeypatch):
    def answer(body, number):
        return 200, {"rewards": [1] * len(body), "version": "2"}

    with service(answer, monkeypatch, version="2") as (style, asked):
        style.preflight()
        assert asked == [[]]
    with service(answer, monkeypatch, version="1") as (style, _):
        with pytest.raises(BadConfig, match="it is at version 2, the recipe says 1"):
            style.preflight()
        assert style.score(rollouts("a"))[0].failure == "refused"


@pytest.mark.parametrize("value", ["", "style", "style=host:9", "other=http://host:9"])
def test_endpoint_without_an_address_is_refused(monkeypatch, value):
    monkeypatch.setenv("STILLHOUSE_REWARDS", value)
    with pytest.raises(
        BadConfig, match="reward style: STILLHOUSE_REWARDS has no URL for it, got .*; set it to style=http://host:port"
    ):
        term()


def test_endpoint_example_service_of_the_docs_rewards_rollouts(monkeypatch):
    started = []
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", lambda server: started.append(server))
    monkeypatch.setattr(sys, "argv", ["reward_service.py", "0"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    (server,) = started
    monkeypatch.undo()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STILLHOUSE_REWARDS", f"style=http://127.0.0.1:{server.server_port}")
    style = term(version="1")
    style.preflight()
    short, long = style.score(rollouts("short", "x" * 4000))
    server.shutdown()
    server.server_close()
    assert (short, long) == (TermReward(1.0), TermReward(0.5))


def test_endpoint_example_service_is_the_one_that_the_docs_show():
    assert EXAMPLE.read_text().strip() in (ROOT / "docs" / "training.md").read_text()
