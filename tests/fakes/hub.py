"""A small Hugging Face hub in memory, for huggingface_hub with ``HF_ENDPOINT``: models and data sets, downloads and commits.

It misbehaves on demand. A fault is a mapping: ``match`` (a regex on method and path) says which requests it meets, ``times`` how
many of them (all, if absent), ``do`` what happens: ``429``, ``500``, ``cut`` (half a body), ``flip`` (one bit of the body).
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf", ".parquet", "tokenizer.json")
"""Files that the hub keeps by their sha256."""


@dataclass
class HubRepo:
    """One repository: its branches, and the files of each commit."""

    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Put a commit on a branch; returns its hash."""
        digests = sorted((name, hashlib.sha256(data).hexdigest()) for name, data in files.items())
        content = json.dumps([len(self.commits), branch, digests])
        sha = hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()
        self.commits[sha], self.branches[branch] = dict(files), sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """The commit of a branch or a commit's own hash; None for an unknown revision."""
        return self.branches.get(revision, revision if revision in self.commits else None)


class FakeHub:
    """One hub. ``repos`` by ``models/ORG/NAME`` or ``datasets/ORG/NAME``, ``seen`` the requests, ``tokens`` the known ones."""

    def __init__(self) -> None:
        self.repos: dict[str, HubRepo] = {}
        self.faults: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self.ranges: list[str] = []
        self.tokens = {"hf_good_token"}
        self.large: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def add(self, name: str, files: dict[str, bytes] | Path, branch: str = "main", **state: bool) -> str:
        """Put a commit on a branch of the model ``ORG/NAME``; returns its hash."""
        if isinstance(files, Path):
            files = {path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()}
        repo = self.repos.setdefault(f"models/{name}", HubRepo())
        repo.gated, repo.private = state.get("gated", False), state.get("private", False)
        return repo.commit(files, branch)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def due(self, request: str) -> str:
        """What is to go wrong with this request; empty if nothing is."""
        with self.lock:
            self.seen.append(request)
            for fault in self.faults:
                if re.search(fault["match"], request) and fault.get("times", 1) > 0:
                    fault["times"] = fault.get("times", 1 << 30) - 1
                    return str(fault["do"])
        return ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        fault = self.hub.due(f"{self.command} {path}")
        if fault in {"429", "500"}:
            return self._reply(int(fault), b"busy", {"Retry-After": "0"})
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            return self._reply(401, b"", {"X-Error-Message": "Invalid credentials in Authorization header"})
        for pattern, answer in _ROUTES:
            if match := re.fullmatch(pattern, path):
                return answer(self, match.groupdict(), body, fault)
        return self._reply(404, b"")

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self._chunked()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _open(self, kind: str, name: str) -> HubRepo | None:
        """The repository, if whoever asks may read it; else the refusal is sent."""
        repo = self.hub.repos.get(f"{kind}/{name}")
        known = bool(self.headers.get("Authorization"))
        if repo is None or (repo.private and not known):
            self._reply(404 if known else 401, b"", {"X-Error-Code": "RepoNotFound"})
            return None
        return repo

    def _api(self, kind: str, name: str, what: str, revision: str, body: bytes) -> None:
        repo = self._open(kind, name)
        if repo is None:
            return None
        if what == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False} for path in paths
            ]
            return self._json({"files": modes})
        if what == "commit":
            return self._commit(kind, name, repo, revision, body)
        if what == "branch":
            repo.branches.setdefault(revision, repo.branches["main"])
            return self._reply(200, b"")
        commit = repo.resolve(revision)
        if commit is None:
            return self._reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
        if what == "revision":
            siblings = [{"rfilename": path} for path in repo.commits[commit]]
            return self._json(
                {"id": name, "sha": commit, "private": repo.private, "gated": repo.gated, "siblings": siblings, "tags": []}
            )
        return self._json([_entry(path, data) for path, data in repo.commits[commit].items()])

    def _file(self, kind: str, name: str, revision: str, path: str, fault: str) -> None:
        repo = self._open(kind, name)
        if repo is None:
            return None
        if repo.gated and not self.headers.get("Authorization"):
            return self._reply(403, b"", {"X-Error-Code": "GatedRepo"})
        commit = repo.resolve(revision)
        if commit is None or path not in repo.commits[commit]:
            return self._reply(404, b"", {"X-Error-Code": "RevisionNotFound" if commit is None else "EntryNotFound"})
        data = repo.commits[commit][path]
        entry = _entry(path, data)
        digest = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        start = 0
        if wanted := self.headers.get("Range"):
            self.hub.ranges.append(f"{path} {wanted}")
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if fault == "flip":
            data = bytes([data[0] ^ 1]) + data[1:]
        return self._reply(206 if start else 200, data[start:], headers, cut=fault == "cut")

    def _create(self, wanted: dict[str, Any]) -> None:
        if not self.headers.get("Authorization"):
            return self._reply(401, b"")
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        repo = self.hub.repos.setdefault(
            f"{wanted.get('type', 'model')}s/{name}",
            HubRepo(private=bool(wanted.get("private")) or wanted.get("visibility") == "private"),
        )
        if not repo.commits:
            repo.commit({})
        prefix = "datasets/" if wanted.get("type") == "dataset" else ""
        return self._json({"url": f"{self.hub.url}/{prefix}{name}", "name": name})

    def _large(self, oid: str, body: bytes) -> None:
        self.hub.large[oid] = body
        self._reply(200, b"")

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}", "header": {}}}}
            for item in wanted["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, kind: str, name: str, repo: HubRepo, branch: str, body: bytes) -> None:
        files = dict(repo.commits[repo.branches.get(branch, repo.branches["main"])])
        for line in body.decode().splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        sha = repo.commit(files, branch)
        prefix = "datasets/" if kind == "datasets" else ""
        self._json({"commitUrl": f"{self.hub.url}/{prefix}{name}/commit/{sha}", "commitOid": sha})

    def _json(self, content: object) -> None:
        self._reply(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True


def _entry(path: str, data: bytes) -> dict[str, Any]:
    """What the hub says of a file."""
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    large = (
        {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}} if path.endswith(LARGE) else {}
    )
    return {"type": "file", "path": path, "size": len(data), "oid": oid, **large}


_NAME = r"(?P<name>[^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, Callable[[_Handler, dict[str, str], bytes, str], None]], ...] = (
    (
        rf"/api/(?P<kind>models|datasets)/{_NAME}/(?P<what>preupload|commit|tree|revision|branch)/(?P<revision>.+?)/?",
        lambda handler, match, body, _: handler._api(match["kind"], match["name"], match["what"], match["revision"], body),
    ),
    (
        rf"/api/(?P<kind>models|datasets)/{_NAME}",
        lambda handler, match, body, _: handler._api(match["kind"], match["name"], "revision", "main", body),
    ),
    (
        rf"/(?P<kind>datasets/)?{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        lambda handler, match, _, fault: handler._file(
            (match["kind"] or "models/").rstrip("/"), match["name"], match["revision"], match["path"], fault
        ),
    ),
    (r"/api/repos/create", lambda handler, _match, body, _: handler._create(json.loads(body))),
    (r".*\.git/info/lfs/objects/batch", lambda handler, _match, body, _: handler._batch(json.loads(body))),
    (r"/lfs/(?P<oid>.+)", lambda handler, match, body, _: handler._large(match["oid"], body)),
    (r"/api/validate-yaml", lambda handler, *_: handler._json({"errors": [], "warnings": []})),
)
"""Paths, and what answers a request to one of them."""
