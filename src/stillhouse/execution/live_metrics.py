"""A running stage's numbers for Prometheus, at ``http://POD:STILLHOUSE_METRICS_PORT/metrics``; nowhere unless the port is set.

    stillhouse_progress_done{stage="sft"} 120
    stillhouse_progress_total{stage="sft"} 400
    stillhouse_metric{stage="sft",name="loss"} 1.25

MLflow keeps the same numbers for ever; these are for alerts while the stage runs.
"""

import math
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stillhouse.vocabulary import environment, metric_names

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import GaugeMetricFamily

PORT = "STILLHOUSE_METRICS_PORT"
PROGRESS = {
    "stillhouse_progress_done": "How much of its work the stage has done, in its own unit.",
    "stillhouse_progress_total": "How much work the stage has in all.",
}
METRIC = "stillhouse_metric"
NAMES = (*PROGRESS, METRIC)


class LiveMetrics:
    """The newest value of each number, written by the stage's threads and collected by ``prometheus_client``'s server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: dict[str, float] = {}
        self._metrics: dict[str, float] = {}
        self.stage = ""

    def clear(self, stage: str) -> None:
        """Begin the numbers of a stage."""
        with self._lock:
            self._progress, self._metrics, self.stage = {}, {}, stage

    def progress(self, done: float, total: float) -> None:
        """How far the stage is."""
        with self._lock:
            self._progress = dict(zip(PROGRESS, (done, total), strict=True))

    def log(self, metrics: Mapping[str, float]) -> None:
        """Numbers by name; those that are not finite are left out."""
        finite = {metric_names.plain(name): float(value) for name, value in metrics.items() if math.isfinite(value)}
        with self._lock:
            self._metrics |= finite

    def collect(self) -> "Iterator[GaugeMetricFamily]":
        """All numbers, as a collector of ``prometheus_client`` yields them."""
        from prometheus_client.core import GaugeMetricFamily

        with self._lock:
            progress, metrics, stage = dict(self._progress), dict(self._metrics), self.stage
        for name, value in progress.items():
            gauge = GaugeMetricFamily(name, PROGRESS[name], labels=["stage"])
            gauge.add_metric([stage], value)
            yield gauge
        if metrics:
            gauge = GaugeMetricFamily(METRIC, "The newest value that the stage logged, by name.", labels=["stage", "name"])
            for name, value in sorted(metrics.items()):
                gauge.add_metric([stage, name], value)
            yield gauge


LIVE = LiveMetrics()
"""The numbers of the stage that this process runs."""


@contextmanager
def served(stage: str) -> Iterator[None]:
    """Answer while the block runs, if the port is set and free. Raises BadConfig for a port that is no number."""
    LIVE.clear(stage)
    server = _server(environment.whole(PORT, 0, least=0))
    try:
        yield
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()


def _server(port: int) -> "WSGIServer | None":
    """A server on a thread of its own, which the process does not wait for."""
    if not port:
        return None
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(LIVE)
    try:
        server, _ = start_http_server(port, registry=registry)
    except OSError as error:
        print(f"  metrics: {PORT}={port}: {error.strerror}; the stage runs without", file=sys.stderr, flush=True)
        return None
    return server
