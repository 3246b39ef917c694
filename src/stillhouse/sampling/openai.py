"""Sampling from any OpenAI-compatible endpoint over HTTP: many requests at once, as many as the endpoints take.

An event loop in its own thread sends requests and handles replies, so that no deadline passes while the stage writes. While an
endpoint is busy or gone, requests wait for up to ``STILLHOUSE_OUTAGE_S``; after a failure that may be the request's own fault, it
is sent again a bounded number of times, to another endpoint if there is one.
"""

import asyncio
import math
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Self

import httpx

from stillhouse.errors import EngineFailed, nearest
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.endpoints import Endpoint, endpoints
from stillhouse.sampling.engine import Completion, Request
from stillhouse.sampling.replies import BUSY, FINAL, Failure, read_error, read_reply
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.patience import backoff_s

TRIES = 6
"""Failures that may be the request's fault, after which it is given up."""
CONNECT_S = 10
OUTAGE_S = 300
"""Default of ``STILLHOUSE_OUTAGE_S``: seconds without an answer from any endpoint after which the stage fails."""
REQUEST_TIMEOUT_S = 3600
"""Default of ``STILLHOUSE_REQUEST_TIMEOUT_S``: seconds per response; 32,768 tokens at 10 per second take nearly that long."""


@dataclass(eq=False)
class _SamplingJob:
    """One request in progress."""

    request: Request
    ready_at: float = -math.inf
    failures: list[str] = field(default_factory=list)
    last: Endpoint | None = None


class OpenAIEngine:
    """A model, by the name it has at its endpoints."""

    def __init__(self, model: str, sampling: Sampling) -> None:
        self._model, self._sampling = model, sampling
        self._timeout_s = environment.number("STILLHOUSE_REQUEST_TIMEOUT_S", REQUEST_TIMEOUT_S)
        self._outage_s = environment.number("STILLHOUSE_OUTAGE_S", OUTAGE_S)
        self._endpoints = _serving(model, endpoints(model))

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """See Engine. Raises EngineFailed if an endpoint refuses the key or the model, or no endpoint answers any more."""
        source, n_open = iter(requests), 0
        ahead = 2 * sum(endpoint.most for endpoint in self._endpoints)
        with _Exchange(self) as exchange:
            while True:
                for request in islice(source, ahead - n_open):
                    exchange.put(request)
                    n_open += 1
                if not n_open:
                    return
                yield exchange.get()
                n_open -= 1

    async def attempt(self, client: httpx.AsyncClient, endpoint: Endpoint, request: Request) -> Completion | Failure:
        """One try of one request at one endpoint."""
        settings = self._sampling
        body: dict[str, Any] = {
            "model": self._model, "messages": list(request.messages), "temperature": settings.temperature,
            "top_p": settings.top_p, "max_tokens": settings.max_tokens, "seed": request.seed,
        }  # fmt: skip
        if settings.chat_template_kwargs:  # vLLM's and SGLang's name for it; endpoints that know no template refuse it
            body["chat_template_kwargs"] = dict(settings.chat_template_kwargs)
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await client.post(f"{endpoint.url}/chat/completions", json=body, headers=_headers(endpoint))
        except Exception as error:  # noqa: BLE001 - read_error raises all but network errors again
            return read_error(error)
        try:
            return read_reply(reply.status_code, reply.headers, reply.content)
        except EngineFailed as error:
            msg = f"engine openai: {endpoint.url} refuses model {self._model}: {error}"
            raise EngineFailed(msg) from error

    async def serve(self, exchange: "_Exchange") -> None:
        """Send the requests put into the exchange and put back their completions, until cancelled."""
        unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=httpx.Timeout(None, connect=CONNECT_S), limits=unlimited) as client:
            running: dict[asyncio.Task[Completion | Failure], tuple[_SamplingJob, Endpoint, float]] = {}
            woken = asyncio.ensure_future(exchange.woken())
            try:
                while True:
                    wait_s = self._launch(client, exchange.waiting, running)
                    done, _ = await asyncio.wait({*running, woken}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                    for task in [task for task in running if task in done]:
                        job, endpoint, sent = running.pop(task)
                        endpoint.in_flight -= 1
                        self._settle(exchange, job, endpoint, sent, task.result())
                    if woken in done:
                        woken = asyncio.ensure_future(exchange.woken())
            finally:
                for unfinished in (woken, *running):
                    unfinished.cancel()
                await asyncio.gather(woken, *running, return_exceptions=True)
                for _, endpoint, _ in running.values():
                    endpoint.in_flight -= 1

    def _launch(self, client: httpx.AsyncClient, waiting: deque[_SamplingJob], running: dict[Any, Any]) -> float | None:
        """Send whatever can be sent now. Returns the seconds until more can be sent, None if that depends on a reply."""
        now = time.monotonic()
        for _ in range(len(waiting)):
            job = waiting.popleft()
            endpoint = self._free(job, now)
            if endpoint is None:
                waiting.append(job)
                continue
            endpoint.in_flight += 1
            running[asyncio.ensure_future(self.attempt(client, endpoint, job.request))] = job, endpoint, now
        if not waiting:
            return None
        moments = [job.ready_at for job in waiting if job.ready_at > now] + [endpoint.paused_until for endpoint in self._endpoints]
        later = [moment for moment in moments if moment > now]
        return min(later) - now if later else None

    def _free(self, job: _SamplingJob, now: float) -> Endpoint | None:
        """The least busy endpoint to send it to now; not the one it just failed at, as long as another endpoint answers."""
        if job.ready_at > now:
            return None
        others = [endpoint for endpoint in self._endpoints if job.last not in {None, endpoint} and not endpoint.failures]
        free = [endpoint for endpoint in others or self._endpoints if endpoint.free(now)]
        return min(free, key=lambda endpoint: (endpoint is job.last, endpoint.in_flight / endpoint.limit), default=None)

    def _settle(
        self, exchange: "_Exchange", job: _SamplingJob, endpoint: Endpoint, sent: float, result: Completion | Failure
    ) -> None:
        """Hand on a completion or a final failure, or requeue the job. Raises EngineFailed if every endpoint is gone."""
        if isinstance(result, Completion):
            endpoint.answered()
            exchange.done(job, replace(result, retried=tuple(job.failures)))
            return
        now, spread = time.monotonic(), random.random()
        if result.kind in FINAL:
            endpoint.answered()
        else:
            endpoint.failed(result, sent, now, spread)
        doubtful = 1 + sum(kind not in BUSY for kind in job.failures)
        if result.kind in FINAL or (result.kind not in BUSY and doubtful >= TRIES):
            given_up = Completion("", "error", 0, 0, result.kind, result.detail, tuple(job.failures))
            exchange.done(job, given_up)
            return
        job.failures.append(result.kind)
        job.last = endpoint
        if result.kind not in BUSY:
            job.ready_at = now + backoff_s(doubtful, spread)
        exchange.waiting.appendleft(job)
        if all(other.gone(now, self._outage_s) for other in self._endpoints):
            histories = " | ".join(other.history() for other in self._endpoints)
            msg = (
                f"engine openai: no endpoint answered for {self._outage_s:g} s ({histories}); the sampled responses are kept: "
                "start the server again, or name others in STILLHOUSE_ENDPOINTS"
            )
            raise EngineFailed(msg)


class _Exchange:
    """Passes jobs from the stage's thread to the event loop's, and completions or an error back."""

    def __init__(self, engine: OpenAIEngine) -> None:
        self.waiting: deque[_SamplingJob] = deque()
        self._completions: queue.SimpleQueue[tuple[Request, Completion] | BaseException] = queue.SimpleQueue()
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="openai", daemon=True)

    def __enter__(self) -> Self:
        self._serving = self._loop.create_task(self._engine.serve(self))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()
        self._loop.close()

    def put(self, request: Request) -> None:
        """Hand over a request; from the stage's thread."""
        self._loop.call_soon_threadsafe(self._arrived, _SamplingJob(request))

    def get(self) -> tuple[Request, Completion]:
        """The next completion. Raises the error that ended the loop."""
        completion = self._completions.get()
        if isinstance(completion, BaseException):
            raise completion
        return completion

    async def woken(self) -> None:
        """Wait until a request is handed over."""
        await self._news.wait()
        self._news.clear()

    def done(self, job: _SamplingJob, completion: Completion) -> None:
        """Hand back a completion; from the loop's thread."""
        self._completions.put((job.request, completion))

    def _arrived(self, job: _SamplingJob) -> None:
        self.waiting.append(job)
        self._news.set()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serving)
        except asyncio.CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - ``get`` raises it again in the stage's thread
            self._completions.put(error)
        # The loop stays open for calls that are still scheduled; ``__exit__`` closes it.


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}


def _serving(model: str, candidates: list[Endpoint]) -> list[Endpoint]:
    """The endpoints that list the model, list nothing, or cannot be reached yet. Raises EngineFailed if there is none."""
    served = {endpoint.url: _served(endpoint) for endpoint in candidates}
    serving = [endpoint for endpoint in candidates if served[endpoint.url] is None or model in (served[endpoint.url] or ())]
    if not serving:
        names = sorted({name for models in served.values() for name in models or ()})
        urls = ", ".join(served)
        msg = f"engine openai: model {model} is not served at {urls}; {nearest(model, names, 'served there')}"
        raise EngineFailed(msg)
    return serving


def _served(endpoint: Endpoint) -> list[str] | None:
    """The names that ``/models`` lists; None if it lists none. Raises EngineFailed for a refused key."""
    reply = _json_of(endpoint, f"{endpoint.url}/models")
    try:
        return [str(entry["id"]) for entry in reply["data"]]
    except (KeyError, TypeError):
        return None


def releases(model: str) -> list[str]:
    """The servers of the model with their versions, as ``vllm 0.32.0``. Only vLLM has ``/version``: others are left out."""
    replies = [_json_of(endpoint, f"{endpoint.url.removesuffix('/v1')}/version") for endpoint in endpoints(model)]
    return sorted({f"vllm {reply['version']}" for reply in replies if isinstance(reply, dict) and "version" in reply})


def _json_of(endpoint: Endpoint, url: str) -> Any:
    """The JSON of a GET; None if there is none. Raises EngineFailed for a refused key."""
    try:
        reply = httpx.get(url, headers=_headers(endpoint), timeout=CONNECT_S)
    except httpx.TransportError:
        return None
    if reply.status_code in {401, 403}:
        msg = f"engine openai: {endpoint.url} refuses the key (HTTP {reply.status_code}); check STILLHOUSE_API_KEY"
        raise EngineFailed(msg)
    try:
        return reply.json() if reply.status_code == 200 else None
    except ValueError:
        return None
