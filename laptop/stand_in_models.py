"""A server that stands in for every served model of a rehearsal: teachers, judges, summariser, labeller, reward model.

It solves the sums of ``stand_in_data``, right as often as a model of the name's size would be, by a draw from the model, the prompt
and the seed, so that pass rates differ between models and samples.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

SHARES = (
    (re.compile(r"1\.5B|small", re.I), 0.45),
    (re.compile(r"7B|medium", re.I), 0.6),
    (re.compile(r"32B|reference", re.I), 0.55),
)
LARGE_SHARE = 0.8
PROGRAM = "```python\nprint(sum(map(int, input().split())))\n```"
WRONG_PROGRAM = "```python\nprint(0)\n```"


@contextmanager
def served() -> Iterator[str]:
    """The server's base URL, ``http://127.0.0.1:PORT``, while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def reply(model: str, messages: list[Mapping[str, str]], seed: int) -> str:
    """What the model says."""
    prompt = messages[-1]["content"]
    if "Answer with one of these words alone:" in prompt:
        words = prompt.rpartition("alone: ")[2].rstrip(".").split(", ")
        return words[int(_draw(model, prompt, 0) * len(words))]
    if '"coherence"' in prompt:
        ratings = {name: 2 + round(2 * _draw(name, prompt, 0), 1) for name in ("coherence", "correctness", "helpfulness")}
        return json.dumps({"reason": "It is clear."} | ratings)
    if '"score"' in prompt:
        return json.dumps({"reason": "The numbers are compared.", "score": _score(prompt), "sure": True})
    if "Reasoning:\n" in prompt:
        return "The two numbers are added."
    return _solved(prompt, right=_draw(model, prompt, seed) < _share(model))


def ratings(messages: list[Mapping[str, str]]) -> list[float]:
    """The five outputs of a reward model, each from 1.5 to 4."""
    text = json.dumps(list(messages))
    return [1.5 + 2.5 * _draw(str(number), text, 0) for number in range(5)]


def _solved(prompt: str, *, right: bool) -> str:
    numbers = [int(word) for word in re.findall(r"\d+", prompt.partition("The assistant’s previous answer")[0])][-2:]
    total = sum(numbers) + (0 if right else 1)
    answer = f"\\boxed{{{total}}}"
    if "Read one line" in prompt:
        answer = PROGRAM if right else WRONG_PROGRAM
    elif "Use no comma" in prompt:
        answer = f"They make {total}." if right else f"They make, I think, {total}."
    return f"<think>{' and '.join(map(str, numbers))} make {total}, by draw {len(prompt)}.</think><answer>{answer}</answer>"


def _score(prompt: str) -> int:
    """A judge's score: the top if the reference is in the student's answer."""
    reference = prompt.partition("Reference answer:\n")[2].partition("\n")[0].strip()
    answer = "\n".join(line for line in prompt.splitlines() if line.startswith("| "))
    top = 5 if "from 0 to 5" in prompt else 1
    return top if reference and reference in answer else 0


def _share(model: str) -> float:
    return next((share for pattern, share in SHARES if pattern.search(model)), LARGE_SHARE)


def _draw(*parts: object) -> float:
    """A number in [0, 1) that follows from the parts."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "big") / 2**64


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the stages say what they asked."""

    def do_GET(self) -> None:
        """No list of models: every name is served."""
        self._send(404, {"error": {"message": "not served here"}})

    def do_POST(self) -> None:
        """A completion, or a reward model's outputs."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/pooling"):
            self._send(200, {"data": [{"data": ratings(body["messages"])}]})
            return
        text = reply(body["model"], body["messages"], int(body.get("seed") or 0))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {
            "prompt_tokens": sum(len(turn["content"].split()) for turn in body["messages"]),
            "completion_tokens": len(text.split()),
        }
        self._send(200, {"choices": [choice], "usage": usage})

    def _send(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
