"""A Kubernetes API on loopback, as far as operators use it: objects are kept and listed by label; nothing runs.

What a pod does is told beforehand: ``cluster.lives`` holds the statuses that a new pod goes through, one for every time it is read;
``cluster.refusal`` is why creating objects is forbidden.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATH = re.compile(r"^/(?:api/v1|apis/[\w.-]+/v1)/namespaces/[\w-]+/(?P<kind>\w+)(?:/(?P<name>[\w.-]+))?(?:(?P<log>/log)|/status)?$")
BEGUN = "2026-11-24T00:00:00Z"


def container(**state) -> dict:
    return {"name": "base", "state": state, "ready": "running" in state, "restartCount": 0, "image": "i", "imageID": "i"}


def ended(exit_code: int = 0, reason: str = "Completed", message: str | None = None) -> dict:
    """The status of a pod whose stage ended."""
    end = {"exitCode": exit_code, "reason": reason, "startedAt": BEGUN, "finishedAt": BEGUN, "message": message}
    return {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": [container(terminated=end)]}


PENDING: dict = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: 1 Insufficient nvidia.com/gpu"}],
}
RUNNING: dict = {
    "phase": "Running",
    "conditions": [{"type": "PodScheduled", "status": "True"}],
    "containerStatuses": [container(running={"startedAt": BEGUN})],
}
SUCCEEDED = ended()
VERSION = ("major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")


class Cluster:
    """The objects by (kind, name), and the requests."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict] = {}
        self.lives: list[dict] = [PENDING, RUNNING, SUCCEEDED]
        self.log = "12 rows\ndone\n"
        self.refusal = ""
        self.version = dict.fromkeys(VERSION, "") | {"major": "1", "minor": "36"}
        self.requests: list[str] = []
        self.url = ""
        self._ahead: dict[str, list[dict]] = {}
        self._lock = threading.Lock()

    def names(self, kind: str) -> list[str]:
        return sorted(name for object_kind, name in self.objects if object_kind == kind)

    def add(self, kind: str, body: dict) -> dict:
        name = body["metadata"]["name"]
        body["metadata"] |= {"namespace": "house", "creationTimestamp": BEGUN, "uid": f"uid-{name}"}
        if kind == "pods":
            self._ahead[name] = list(self.lives)
            body["status"] = self._ahead[name][0]
        self.objects[kind, name] = body
        return body

    def read(self, kind: str, name: str) -> dict | None:
        stored = self.objects.get((kind, name))
        ahead = self._ahead.get(name, [])
        if stored and kind == "pods" and ahead:
            stored["status"] = ahead.pop(0) if len(ahead) > 1 else ahead[0]
        return stored

    def listed(self, kind: str, selector: str) -> list[dict]:
        return [body for (object_kind, _), body in sorted(self.objects.items()) if object_kind == kind and matches(body, selector)]

    def logged(self, pod: dict) -> tuple[int, dict | str]:
        waits = pod["status"]["phase"] == "Pending"
        return (400, status(400) | {"message": "container is waiting to start"}) if waits else (200, self.log)

    def answer(self, method: str, path: str, body: dict) -> tuple[int, dict | str]:
        url = urlsplit(path)
        matched = PATH.match(url.path)
        if not matched:
            return (200, self.version) if url.path == "/version/" else (404, status(404))
        kind, name = matched["kind"], matched["name"]
        with self._lock:
            self.requests.append(f"{method} {kind}")
            if method == "POST" and self.refusal:
                return 403, status(403) | {"reason": "Forbidden", "message": self.refusal}
            if method == "POST":
                taken = (kind, body["metadata"]["name"]) in self.objects
                return (409, status(409)) if taken else (201, self.add(kind, body))
            if name is None:
                items = self.listed(kind, parse_qs(url.query).get("labelSelector", [""])[0])
                return 200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}
            if method == "DELETE":
                return (200, status(200)) if self.objects.pop((kind, name), None) else (404, status(404))
            one = self.read(kind, name)
            if one is None:
                return 404, status(404)
            if method == "PATCH":
                merge(one, body)
            return self.logged(one) if matched["log"] else (200, one)


def merge(body: dict, patch: dict) -> None:
    """A patch of mappings alone."""
    for name, value in patch.items():
        if isinstance(value, dict) and isinstance(body.get(name), dict):
            merge(body[name], value)
        else:
            body[name] = value


def status(code: int) -> dict:
    return {"kind": "Status", "apiVersion": "v1", "status": "Success" if code < 400 else "Failure", "code": code}


def matches(body: dict, selector: str) -> bool:
    """``a=b``, ``a!=b``, ``a in (b,c)`` and ``!a``, by comma."""
    labels = body["metadata"].get("labels") or {}
    for term in filter(None, re.split(r",(?![^(]*\))", selector)):
        if term.startswith("!"):
            wrong = term[1:] in labels
        elif " in " in term:
            name, _, values = term.partition(" in ")
            wrong = labels.get(name) not in values.strip("()").split(",")
        elif "!=" in term:
            wrong = labels.get(term.split("!=")[0]) == term.split("!=")[1]
        else:
            wrong = labels.get(term.split("=")[0]) != term.split("=")[1]
        if wrong:
            return False
    return True


@contextmanager
def serve() -> Iterator[Cluster]:
    """The API on a free loopback port."""
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}") if length else {}
            code, answer_body = cluster.answer(self.command, self.path, body)
            data = (answer_body if isinstance(answer_body, str) else json.dumps(answer_body)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(answer_body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PATCH = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
