"""A running stage's numbers for Prometheus, at ``http://POD:STILLHOUSE_METRICS_PORT/metrics``; nowhere unless the port is set.

    stillhouse_progress_done{stage="sft"} 120
    stillhouse_progress_total{stage="sft"} 400
    stillhouse_metric{stage="sft",name="loss"} 1.25

MLflow keeps the same numbers for ever; these are for alerts while the stage runs.
"""

import math
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stillhouse.vocabulary import environment, metric_names

PORT = "STILLHOUSE_METRICS_PORT"
NAMES = ("stillhouse_progress_done", "stillhouse_progress_total", "stillhouse_metric")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED = re.compile(r'[\\"\n]')


class LiveMetrics:
    """The newest value of each number, written by the stage's threads and read by the server's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], float] = {}
        self.stage = ""

    def clear(self, stage: str) -> None:
        """Begin the numbers of a stage."""
        with self._lock:
            self._values, self.stage = {}, stage

    def progress(self, done: float, total: float) -> None:
        """How far the stage is."""
        with self._lock:
            self._values |= {(NAMES[0], ""): done, (NAMES[1], ""): total}

    def log(self, metrics: Mapping[str, float]) -> None:
        """Numbers by name; those that are not finite are left out."""
        named = {(NAMES[2], metric_names.plain(name)): float(value) for name, value in metrics.items() if math.isfinite(value)}
        with self._lock:
            self._values |= named

    def text(self) -> str:
        """All of them, as Prometheus reads them."""
        with self._lock:
            values, stage = dict(self._values), self.stage
        labels = {key: f'stage="{_escaped(stage)}"' + (f',name="{_escaped(key[1])}"' if key[1] else "") for key in values}
        kinds = {key[0] for key in values}
        lines = [f"# TYPE {name} gauge\n" for name in NAMES if name in kinds]
        return "".join([*lines, *(f"{key[0]}{{{labels[key]}}} {value!r}\n" for key, value in sorted(values.items()))])


LIVE = LiveMetrics()
"""The numbers of the stage that this process runs."""


@contextmanager
def served(stage: str) -> Iterator[None]:
    """Answer while the block runs, if the port is set and free. Raises BadConfig for a port that is no number."""
    LIVE.clear(stage)
    server = _server(environment.whole(PORT, 0, least=0))
    if server is None:
        yield
        return
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(port: int) -> ThreadingHTTPServer | None:
    try:
        return ThreadingHTTPServer(("", port), _Handler) if port else None
    except OSError as error:
        print(f"  metrics: {PORT}={port}: {error.strerror}; the stage runs without", file=sys.stderr, flush=True)
        return None


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Any path is the numbers': there is nothing else."""
        body = LIVE.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the stage's log is its own."""


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: "\\n" if match[0] == "\n" else f"\\{match[0]}", text)
