"""A small S3 server in memory, without signatures, that misbehaves on demand.

A fault is a mapping: ``method`` and ``match`` (a regex on the path and query) say which requests it meets, ``times`` how many
of them (all, if absent), ``do`` what happens: ``500``, ``503``, ``403``, ``404``, ``409``, ``200`` (the status of a success, an
error as the body), ``skew`` (the clocks differ), ``307`` (to another host), other errors of S3 (``CODES``), ``html`` and others
of ``PAGES`` (what a proxy answers in place of the store), ``cut-off`` (the connection ends, nothing is done), ``lost`` (it is
done, the reply never comes), ``cut`` (half a body), ``flip`` (one bit of the body), ``short`` (half the object, as if it lay
there so).
"""

import hashlib
import json
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "stillhouse"
ELSEWHERE = "http://203.0.113.1"
"""An address that no host has: nothing may follow a redirect there."""
PACED_BYTES, SHORTEST_WAIT_S = 2**18, 0.001
CODES = {
    "500": (500, "InternalError"), "503": (503, "SlowDown"), "403": (403, "AccessDenied"), "404": (404, "NoSuchKey"),
    "409": (409, "ConditionalRequestConflict"), "200": (200, "InternalError"), "skew": (403, "RequestTimeTooSkewed"),
    "307": (307, "TemporaryRedirect"), "501": (501, "NotImplemented"), "too-long": (400, "KeyTooLongError"),
    "archived": (403, "InvalidObjectState"), "expired": (400, "ExpiredToken"), "bad-digest": (400, "BadDigest"),
}  # fmt: skip

PAGES = {
    "html": (200, b"<!doctype html><html><h1>Log in to the network</h1></html>", {"Content-Type": "text/html"}),
    "html-etag": (200, b"<!doctype html><html><h1>We are back soon</h1></html>", {"Content-Type": "text/html", "ETag": '"5f"'}),
    "xhtml": (200, b'<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>', {"Content-Type": "application/xhtml+xml"}),
    "nothing": (200, b"", {}),
    "html-404": (404, b"<html><h1>404 Not Found</h1></html>", {"Content-Type": "text/html"}),
    "text-404": (404, b"default backend - 404", {"Content-Type": "text/plain"}),
    "html-413": (413, b"<html><h1>Request Entity Too Large</h1></html>", {"Content-Type": "text/html"}),
    "to-login": (302, b"", {"Location": f"{ELSEWHERE}/login"}),
}
"""What something between here and the store answers in its place."""


class FakeS3:
    """One server. ``objects`` are the bytes by key, ``uploads`` the open multipart uploads, ``seen`` the requests."""

    def __init__(self, bytes_per_s: float = math.inf) -> None:
        self.pace_s, self.sent_until = 1 / bytes_per_s, 0.0
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.faults: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def forget(self) -> None:
        """Begin anew, without objects and faults."""
        with self.lock:
            self.objects.clear()
            self.uploads.clear()
            self.faults, self.seen = [], []

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def due(self, method: str, path: str) -> list[str]:
        """What happens to this request."""
        with self.lock:
            self.seen.append(f"{method} {path}")
            due = []
            for fault in self.faults:
                met = fault.get("method", method) == method and re.search(fault.get("match", ""), path)
                if met and fault.get("times", 1) > 0:
                    fault["times"] = fault.get("times", float("inf")) - 1
                    due.append(fault["do"])
            return due


@contextmanager
def serving(bytes_per_s: float = math.inf) -> Iterator[FakeS3]:
    """A server while the block runs; all its replies together are sent at this rate."""
    server = FakeS3(bytes_per_s)
    try:
        yield server
    finally:
        server.close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeS3
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parsed = urlsplit(self.path)
        query = dict(parse_qsl(parsed.query, keep_blank_values=True))
        _, bucket, *rest = unquote(parsed.path).split("/", 2)
        due = self.fake.due(self.command, unquote(self.path))
        for do in due:
            if do in CODES:
                self.refuse(*CODES[do])
                return
        if page := next((PAGES[do] for do in due if do in PAGES), None):
            self.send(*page)
            return
        if "cut-off" in due:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        if bucket != BUCKET:
            self.refuse(404, "NoSuchBucket")
            return
        status, reply, headers = self.answer(rest[0] if rest else "", query, body, due)
        if "lost" in due:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.send(status, reply, headers, cut="cut" in due)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def answer(
        self, key: str, query: dict[str, str], body: bytes, due: list[str]
    ) -> tuple[int, bytes, dict[str, str]]:  # fmt: skip
        with self.fake.lock:
            if self.command == "PUT" and "uploadId" in query:
                self.fake.uploads[query["uploadId"]][1][int(query["partNumber"])] = body
                return 200, b"", {"ETag": f'"{_md5(body)}"'}
            if self.command == "PUT":
                return self.put(key, body)
            if self.command == "POST":
                return self.multipart(key, query)
            if self.command == "DELETE":
                self.fake.uploads.pop(query.get("uploadId", ""), None)
                if "uploadId" not in query:
                    self.fake.objects.pop(key, None)
                return 204, b"", {}
            return self.listing(query) if not key else self.get(key, due)

    def put(self, key: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        if self.headers.get("If-None-Match") == "*" and key in self.fake.objects:
            return 412, _error("PreconditionFailed"), {}
        self.fake.objects[key] = body
        return 200, b"", {"ETag": f'"{_md5(body)}"'}

    def multipart(self, key: str, query: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        if "uploads" in query:
            upload = os.urandom(4).hex()
            self.fake.uploads[upload] = (key, {})
            return 200, f"<R><Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId></R>".encode(), {}
        if query["uploadId"] not in self.fake.uploads:
            return 404, _error("NoSuchUpload"), {}
        if self.headers.get("If-None-Match") == "*" and key in self.fake.objects:
            return 412, _error("PreconditionFailed"), {}
        _, parts = self.fake.uploads.pop(query["uploadId"])
        self.fake.objects[key] = b"".join(parts[number] for number in sorted(parts))
        return 200, f"<R><Key>{escape(key)}</Key><ETag>x-2</ETag></R>".encode(), {}

    def listing(self, query: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        prefix = query.get("prefix", "")
        if "uploads" in query:
            pending = ((upload, key) for upload, (key, _) in self.fake.uploads.items() if key.startswith(prefix))
            rows = "".join(f"<Upload><Key>{escape(key)}</Key><UploadId>{upload}</UploadId></Upload>" for upload, key in pending)
            return 200, f"<R><Bucket>{BUCKET}</Bucket>{rows}</R>".encode(), {}
        keys = sorted(key for key in self.fake.objects if key.startswith(prefix))
        rows = "".join(f"<Contents><Key>{escape(key)}</Key><Size>{len(self.fake.objects[key])}</Size></Contents>" for key in keys)
        return 200, f"<R><Name>{BUCKET}</Name><IsTruncated>false</IsTruncated>{rows}</R>".encode(), {}

    def get(self, key: str, due: list[str]) -> tuple[int, bytes, dict[str, str]]:
        if key not in self.fake.objects:
            return 404, _error("NoSuchKey"), {}
        data = self.fake.objects[key]
        headers = {"ETag": f'"{_md5(data)}"'}
        if "flip" in due and data:
            third = len(data) // 3
            data = data[:third] + bytes([data[third] ^ 1]) + data[third + 1 :]
        if "short" in due:
            data = data[: len(data) // 2]
        if "Range" not in self.headers:
            return 200, data, headers
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        end = min(int(last) + 1 if last else len(data), len(data))
        return 206, data[int(first) : end], headers | {"Content-Range": f"bytes {first}-{end - 1}/{len(data)}"}

    def refuse(self, status: int, code: str) -> None:
        headers = {"Location": f"{ELSEWHERE}{self.path}"} if status == 307 else {}
        self.send(status, _error(code), headers)

    def send(self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.write_paced(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def write_paced(self, body: bytes) -> None:
        for start in range(0, len(body), PACED_BYTES):
            chunk = memoryview(body)[start : start + PACED_BYTES]
            with self.fake.lock:
                now = time.monotonic()
                self.fake.sent_until = max(now, self.fake.sent_until) + len(chunk) * self.fake.pace_s
                wait_s = self.fake.sent_until - now
            if wait_s > SHORTEST_WAIT_S:
                time.sleep(wait_s)
            self.wfile.write(chunk)


@lru_cache(16)
def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{json.dumps(code)}</Message></Error>".encode()
