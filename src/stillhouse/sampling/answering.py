"""A plan -> its responses: earlier ones are reused and the rest are sampled, with progress and cost."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Self

from stillhouse.errors import TooManyErrors
from stillhouse.execution.contract import StageInputs
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Engine, Request, response
from stillhouse.sampling.plan import SamplingPlan
from stillhouse.sampling.published_parts import EarlierResponses, PublishedParts
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.rows import ResponseKey
from stillhouse.vocabulary.text import duration

LOG_EVERY_S = 10.0


class Answering:
    """Samples one model after another. ``max_failure_rate``: share of requests that may be given up."""

    def __init__(self, inputs: StageInputs, parts: PublishedParts, previous: Path | None, max_failure_rate: float) -> None:
        self._inputs, self._parts, self._max_failure_rate = inputs, parts, max_failure_rate
        self._previous = EarlierResponses(previous)
        self.total = 0
        self._clock = Meter(inputs)
        self._reused = 0
        self._retried: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def run(self, plan: SamplingPlan, sampling: Sampling, sampling_id: str, load: Callable[[], Engine]) -> None:
        """Carry out a plan; the model is loaded at the first request. Raises TooManyErrors above ``max_failure_rate``."""
        before, engine = self.total, None
        while True:
            self.total = before + plan.total()
            self._reuse(plan, sampling_id)
            missing = self._missing(plan)
            first = next(missing, None)
            self._report()
            if first is not None:
                engine = engine or load()
                with self._clock:
                    self._ask(plan, chain([first], missing), sampling, sampling_id, engine)
            if not plan.advance():
                break
        self.total = before + plan.total()
        self._counts.update(plan.metrics())
        self._parts.drops += plan.drops()
        self._report()

    def _reuse(self, plan: SamplingPlan, sampling_id: str) -> None:
        """Take the wave's responses from parts of an earlier attempt and from an earlier output; the latter become new rows."""
        if not self._previous.keys() and not (plan.learns and self._parts.done):
            return
        known: set[ResponseKey] = set()
        reused: set[ResponseKey] = set()
        for request in plan.wave():
            if request.key in self._parts.done:
                known.add(request.key)
            elif self._previous.has(request, sampling_id):
                reused.add(request.key)
        for row in self._parts.finished.read(known) if plan.learns else ():
            plan.note(row)
        for row in self._previous.read(reused):
            self._parts.add(row)
            self._reused += 1
            if plan.learns:
                plan.note(row)

    def _missing(self, plan: SamplingPlan) -> Iterator[Request]:
        return (request for request in plan.wave() if request.key not in self._parts.done)

    def _ask(self, plan: SamplingPlan, requests: Iterator[Request], sampling: Sampling, sampling_id: str, engine: Engine) -> None:
        for request, completion in engine.sample(requests):
            row = response(sampling, request, completion, sampling_id)
            self._retried.update(completion.retried)
            if completion.finish_reason == "error":
                self._parts.lose(row, completion.failure or "error", completion.detail)
                plan.lost(request)
                self._refuse_too_many(completion.detail)
            else:
                self._parts.add(row)
                self._clock.count(completion.completion_tokens)
                if plan.learns:
                    plan.note(row)
            self._report()

    def _report(self) -> None:
        self._clock.report(len(self._parts.done), max(self.total, len(self._parts.done)), self._parts.failures.total())

    def _refuse_too_many(self, last: str) -> None:
        failures = self._parts.failures
        if failures.total() > self._max_failure_rate * self.total:
            msg = (
                f"responses: {failures.total()} of {self.total} requests were given up ({dict(failures)}; last: {last}), "
                f"max_failure_rate allows {self._max_failure_rate:g}; the sampled responses are kept: fix the cause, or raise it"
            )
            raise TooManyErrors(msg)

    def metrics(self, engine: str) -> dict[str, float]:
        """Counts of this run: sampled, reused, failed and retried requests, and their cost."""
        counts = {"n_sampled": self._clock.rows, "n_reused": self._reused, **self._counts}
        counts |= {f"n_failed/{kind}": count for kind, count in sorted(self._parts.failures.items())}
        counts |= {f"n_retried/{kind}": count for kind, count in sorted(self._retried.items())}
        return {**counts, **self._clock.cost(engine, self._counts["n_correct"])}


class Meter:
    """Counts rows and tokens, and the seconds spent inside its ``with`` block."""

    def __init__(self, inputs: StageInputs) -> None:
        self._inputs = inputs
        self.rows, self.tokens = 0, 0
        self._seconds = 0.0
        self._started: float | None = None
        self._logged = time.monotonic()

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds, self._started = self.seconds, None

    @property
    def seconds(self) -> float:
        """Seconds spent so far."""
        return self._seconds + (time.monotonic() - self._started if self._started is not None else 0.0)

    def count(self, tokens: int) -> None:
        """Count one more response."""
        self.rows += 1
        self.tokens += tokens

    def report(self, done: int, total: int, failed: int) -> None:
        """Report progress: rows, tokens per second, and the remaining time at this pace."""
        if not self.rows:
            self._inputs.progress(done, total, "responses")
            return
        rate, left_s = self.tokens / max(self.seconds, 1e-9), (total - done) * self.seconds / self.rows
        self._inputs.progress(done, total, f"responses · {rate:,.0f} tokens/s · {duration(left_s)} left")
        if time.monotonic() - self._logged >= LOG_EVERY_S:
            self._logged = time.monotonic()
            self._inputs.log({"tokens_per_s": rate, "left_s": left_s, "failed": failed}, done)

    def cost(self, engine: str, n_correct: float) -> dict[str, float]:
        """Tokens, seconds and (with GPUs) GPU-seconds per response, and per response verified correct."""
        if not self.rows:
            return {}
        spent = {"tokens": float(self.tokens), "seconds": self.seconds}
        if gpus := _gpus(engine):
            spent["gpu_seconds"] = self.seconds * gpus
        costs = {f"{name}_per_response": value / self.rows for name, value in spent.items()}
        if n_correct:
            costs |= {f"{name}_per_correct": value / n_correct for name, value in spent.items()}
        return costs | {"tokens_per_s": self.tokens / max(self.seconds, 1e-9)}


def _gpus(engine: str) -> int:
    """The number of GPUs: ``STILLHOUSE_GPUS``, since those behind an endpoint cannot be counted from here; else this process's."""
    if environment.text("STILLHOUSE_GPUS"):
        return environment.whole("STILLHOUSE_GPUS", 0, least=0)
    # If torch is not loaded, no model runs in this process.
    torch = sys.modules.get("torch")
    return int(torch.cuda.device_count()) if torch is not None and engine != "openai" else 0
