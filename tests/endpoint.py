"""An OpenAI-compatible endpoint on loopback that answers additions, and misbehaves on demand.

``script(number, body)`` says what to do with the request that came as ``number`` (from 0): None answers it; a ``Reply`` is sent as
it is; "drop" closes the connection without a word; "cut" stops in the middle of the body; a number of seconds holds the answer
back, byte by byte.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What a server says."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Action = Reply | str | float | None
Script = Callable[[int, dict[str, Any]], Action]


def refusal(status: int, message: str = "no", **headers: str) -> Reply:
    return Reply(status, {"error": {"message": message}}, {name.replace("_", "-"): value for name, value in headers.items()})


def answer(body: dict[str, Any]) -> Reply:
    """The sum of the numbers in the last message, in the think/answer form, and the seed."""
    prompt = body["messages"][-1]["content"]
    total = sum(map(int, re.findall(r"\d+", prompt)))
    text = f"<think>{prompt} seed {body['seed']}</think><answer>{total}</answer>"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    return Reply(200, {"choices": [choice], "usage": usage})


class Endpoint:
    """One server; ``asked`` are the bodies of the requests for completions, ``keys`` the Authorization headers."""

    def __init__(
        self, script: Script | None = None, models: tuple[str, ...] | None = ("toy",), port: int = 0, version: str = ""
    ) -> None:  # fmt: skip
        self.script = script or (lambda number, body: None)
        self.models, self.version = models, version
        self.asked: list[dict[str, Any]] = []
        self.answered = 0
        self.keys: list[str | None] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"owner": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        """Stop listening; connections that are open are closed with their next request."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def decide(self, body: dict[str, Any], key: str | None) -> Action:
        with self._lock:
            number = len(self.asked)
            self.asked.append(body)
            self.keys.append(key)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        return self.script(number, body)

    def left(self, whole: bool) -> None:
        with self._lock:
            self._now -= 1
            self.answered += whole


@contextmanager
def endpoint(
    script: Script | None = None, models: tuple[str, ...] | None = ("toy",), port: int = 0, version: str = ""
) -> Iterator[Endpoint]:  # fmt: skip
    server = Endpoint(script, models, port, version)
    try:
        yield server
    finally:
        if not server.closing.is_set():
            server.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: Endpoint

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        answers: dict[str, Any] = {}
        if self.owner.models is not None:
            answers["/v1/models"] = {"data": [{"id": name} for name in self.owner.models]}
        if self.owner.version:
            answers["/version"] = {"version": self.owner.version}
        self._send(Reply(200, answers[self.path]) if self.path in answers else refusal(404))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.owner.closing.is_set():
            self.close_connection = True
            return
        action = self.owner.decide(body, self.headers["Authorization"])
        whole = False
        try:
            whole = self._act(action, body)
        finally:
            self.owner.left(whole)

    def _act(self, action: Action, body: dict[str, Any]) -> bool:
        """Returns whether a whole answer was sent."""
        reply = action if isinstance(action, Reply) else answer(body)
        if action == "drop":
            self.close_connection = True
            return False
        if action == "cut":
            self._head(reply)
            self.wfile.write(reply.data[: len(reply.data) // 2])
            self.close_connection = True
            return False
        if isinstance(action, int | float):
            return self._dribble(reply, action)
        self._send(reply)
        return reply.status == 200

    def _dribble(self, reply: Reply, seconds: float) -> bool:
        self._head(reply)
        for byte in reply.data:
            if self.owner.closing.wait(seconds / len(reply.data)):
                self.close_connection = True
                return False
            self.wfile.write(bytes([byte]))
        return True

    def _send(self, reply: Reply) -> None:
        self._head(reply)
        self.wfile.write(reply.data)

    def _head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.data)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
