"""Sampling from any OpenAI-compatible endpoint over HTTP: many requests at once, as many as the endpoints take.

An event loop in a thread of its own sends requests and sorts what comes back, so that no deadline passes while the stage writes.
A request waits out an endpoint that is busy or gone for as long as ``STILLHOUSE_OUTAGE_S``; a reply that may be the request's own
fault is asked for again a bounded number of times, at another endpoint where there is one.
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
from typing import TYPE_CHECKING, Any

from stillhouse.errors import EngineFailed, nearest
from stillhouse.execution import environment
from stillhouse.sampling.endpoints import Endpoint, endpoints
from stillhouse.sampling.engine import Completion, Request, Sampling
from stillhouse.sampling.replies import BUSY, FINAL, Failure, read_error, read_reply
from stillhouse.vocabulary.patience import backoff_s

if TYPE_CHECKING:
    import httpx

TRIES = 6
"""Tries that may be the request's fault, before it is given up."""
CONNECT_S = 10
OUTAGE_S = 300
"""Default of ``STILLHOUSE_OUTAGE_S``: seconds without an answer from any endpoint after which the stage fails."""
REQUEST_TIMEOUT_S = 3600
"""Default of ``STILLHOUSE_REQUEST_TIMEOUT_S``: seconds to a whole response; 32,768 tokens at 10 a second are not ready before."""


@dataclass(eq=False)
class _Job:
    """One request on its way."""

    request: Request
    ready_at: float = -math.inf
    failures: list[str] = field(default_factory=list)
    last: Endpoint | None = None


class OpenAIEngine:
    """A model by the name its endpoints know it by."""

    def __init__(self, model: str, sampling: Sampling) -> None:
        self._model, self._sampling = model, sampling
        self._timeout_s = environment.number("STILLHOUSE_REQUEST_TIMEOUT_S", REQUEST_TIMEOUT_S)
        self._outage_s = environment.number("STILLHOUSE_OUTAGE_S", OUTAGE_S)
        self._endpoints = _serving(model, endpoints(model))

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """See Engine. Raises EngineFailed where an endpoint refuses the key or the model, or none answers any more."""
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

    async def attempt(self, client: "httpx.AsyncClient", endpoint: Endpoint, request: Request) -> Completion | Failure:
        """One try of one request at one endpoint."""
        given = self._sampling
        body = {
            "model": self._model, "messages": list(request.messages), "temperature": given.temperature, "top_p": given.top_p,
            "max_tokens": given.max_tokens, "seed": request.seed,
        }  # fmt: skip
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await client.post(f"{endpoint.url}/chat/completions", json=body, headers=_headers(endpoint))
        except Exception as error:  # noqa: BLE001 - sorted there, and raised again where it is none of the network's
            return read_error(error)
        try:
            return read_reply(reply.status_code, reply.headers, reply.content)
        except EngineFailed as error:
            msg = f"engine openai: {endpoint.url} refuses model {self._model}: {error}"
            raise EngineFailed(msg) from error

    async def serve(self, exchange: "_Exchange") -> None:
        """Send what is put into the exchange and put back what comes, until cancelled."""
        import httpx

        unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=httpx.Timeout(None, connect=CONNECT_S), limits=unlimited) as client:
            running: dict[asyncio.Task[Completion | Failure], tuple[_Job, Endpoint, float]] = {}
            woken = asyncio.ensure_future(exchange.woken())
            try:
                while True:
                    wait_s = self._launch(client, exchange.waiting, running)
                    done, _ = await asyncio.wait({*running, woken}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                    for task in [each for each in running if each in done]:
                        job, endpoint, sent = running.pop(task)
                        endpoint.in_flight -= 1
                        self._settle(exchange, job, endpoint, sent, task.result())
                    if woken in done:
                        woken = asyncio.ensure_future(exchange.woken())
            finally:
                for each in (woken, *running):
                    each.cancel()
                await asyncio.gather(woken, *running, return_exceptions=True)
                for _, endpoint, _ in running.values():
                    endpoint.in_flight -= 1

    def _launch(self, client: "httpx.AsyncClient", waiting: deque[_Job], running: dict[Any, Any]) -> float | None:
        """Send what can be sent now. Returns the seconds after which more can be, None if only a reply changes that."""
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
        moments = [job.ready_at for job in waiting if job.ready_at > now] + [each.paused_until for each in self._endpoints]
        later = [moment for moment in moments if moment > now]
        return min(later) - now if later else None

    def _free(self, job: _Job, now: float) -> Endpoint | None:
        """Where to send it now, the least busy first; not where it just failed, if another endpoint answers, though busy itself."""
        if job.ready_at > now:
            return None
        elsewhere = [each for each in self._endpoints if job.last not in {None, each} and not each.failures]
        free = [each for each in elsewhere or self._endpoints if each.free(now)]
        return min(free, key=lambda each: (each is job.last, each.in_flight / each.limit), default=None)

    def _settle(self, exchange: "_Exchange", job: _Job, endpoint: Endpoint, sent: float, result: Completion | Failure) -> None:
        """Hand on a completion or a request given up; put back one to be tried again. Raises EngineFailed where none can be."""
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
            lost = Completion("", "error", 0, 0, result.kind, result.detail, tuple(job.failures))
            exchange.done(job, lost)
            return
        job.failures.append(result.kind)
        job.last = endpoint
        if result.kind not in BUSY:
            job.ready_at = now + backoff_s(doubtful, spread)
        exchange.waiting.appendleft(job)
        if all(each.gone(now, self._outage_s) for each in self._endpoints):
            histories = " | ".join(each.history() for each in self._endpoints)
            msg = (
                f"engine openai: no endpoint answered for {self._outage_s:g} s ({histories}); what was sampled is kept: "
                "start the server again, or name others in STILLHOUSE_ENDPOINTS"
            )
            raise EngineFailed(msg)


class _Exchange:
    """What passes between the stage's thread and the event loop's: jobs one way, completions or an error the other."""

    def __init__(self, engine: OpenAIEngine) -> None:
        self.waiting: deque[_Job] = deque()
        self._completions: queue.SimpleQueue[tuple[Request, Completion] | BaseException] = queue.SimpleQueue()
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="openai", daemon=True)

    def __enter__(self) -> "_Exchange":
        self._serving = self._loop.create_task(self._engine.serve(self))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()
        self._loop.close()

    def put(self, request: Request) -> None:
        """Hand over a request; from the stage's thread."""
        self._loop.call_soon_threadsafe(self._arrived, _Job(request))

    def get(self) -> tuple[Request, Completion]:
        """The next completion. Raises what the loop ended with."""
        found = self._completions.get()
        if isinstance(found, BaseException):
            raise found
        return found

    async def woken(self) -> None:
        """Until a request was handed over."""
        await self._news.wait()
        self._news.clear()

    def done(self, job: _Job, completion: Completion) -> None:
        """Hand back a completion; from the loop's thread."""
        self._completions.put((job.request, completion))

    def _arrived(self, job: _Job) -> None:
        self.waiting.append(job)
        self._news.set()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serving)
        except asyncio.CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again where the stage waits for it
            self._completions.put(error)
        # The event loop stays open for calls that are on their way; ``__exit__`` closes it.


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}


def _serving(model: str, given: list[Endpoint]) -> list[Endpoint]:
    """The endpoints that list the model, or that list nothing or cannot be asked yet. Raises EngineFailed if none is left."""
    served = {endpoint.url: _served(endpoint) for endpoint in given}
    left = [endpoint for endpoint in given if served[endpoint.url] is None or model in (served[endpoint.url] or ())]
    if not left:
        names = sorted({name for each in served.values() for name in each or ()})
        urls = ", ".join(served)
        msg = f"engine openai: model {model} is not served at {urls}; {nearest(model, names, 'served there')}"
        raise EngineFailed(msg)
    return left


def _served(endpoint: Endpoint) -> list[str] | None:
    """The names that ``/models`` lists; None where it does not say. Raises EngineFailed for a refused key."""
    said = _said(endpoint, f"{endpoint.url}/models")
    try:
        return [str(each["id"]) for each in said["data"]]
    except (KeyError, TypeError):
        return None


def releases(model: str) -> list[str]:
    """What serves the model, as ``vllm 0.32.0``; nothing of servers that do not say: ``/version`` is vLLM's own."""
    said = [_said(each, f"{each.url.removesuffix('/v1')}/version") for each in endpoints(model)]
    return sorted({f"vllm {each['version']}" for each in said if isinstance(each, dict) and "version" in each})


def _said(endpoint: Endpoint, url: str) -> Any:
    """What a question is answered, read from JSON; None where it is not. Raises EngineFailed for a refused key."""
    import httpx

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
