"""The table of benchmarks, and the names that pin them.

A benchmark is named ``NAME@REVISION``; ``NAME`` alone means the revision in this release. A benchmark that others publish needs
its data pinned too: ``NAME@REVISION:DATA``, or ``NAME@DATA`` for short. ``DATA`` is a commit of the data set on the Hugging Face
hub (40 hex digits), or ``sha256-`` and at least the first 12 digits of a file's hash. A benchmark of the user's own is named by its
entry point or as ``module:attribute``, and pinned as ``NAME@VERSION``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from stillhouse.errors import BadConfig
from stillhouse.execution import extensions
from stillhouse.sources.config import Arithmetic, HumanEval, Spec, Worded
from stillhouse.vocabulary.rows import Question

AdapterName = Literal["problems", "gsm8k", "ifeval", "gpqa", "mmlu", "livecodebench"]
Window = tuple[str, str]
"""First and last month, as ``2024-08``."""

VARIABLE = "STILLHOUSE_BENCHMARKS"
"""Names the directory or s3:// prefix that holds files of published benchmarks."""
DATA = re.compile(r"[0-9a-f]{40}|sha256-[0-9a-f]{12,64}")
LIVECODEBENCH = re.compile(r"livecodebench-(\d\d)(0[1-9]|1[0-2])-(\d\d)(0[1-9]|1[0-2])")


class BenchmarkQuestions(Protocol):
    """The questions of a benchmark, in a fixed order."""

    def __call__(self) -> Iterable[Question]:
        """Yield the questions: the same ones on every call."""
        ...


@dataclass(frozen=True)
class HubDataset:
    """A data set on the Hugging Face hub, and the adapter (see ``datasets.ADAPTERS``) that turns its rows into questions."""

    name: str
    adapter: AdapterName
    subset: str | None = None
    splits: tuple[str, ...] = ("test",)
    files: str | None = None
    """Pattern of its JSON-lines files, for a data set whose own loader is a program: we do not run it."""


@dataclass(frozen=True)
class Benchmark:
    """A fixed set of questions. Raise the revision when the questions change: scores of two revisions do not compare."""

    revision: int | str
    source: Spec | HubDataset | BenchmarkQuestions
    """A source of ``questions``, a published data set, or a function that yields the questions."""
    multiple_choice: bool = False
    """The reference is the letter of a choice, and a response is judged by the letter it names."""


# One-digit families are small (sub-1 has 45 questions): a benchmark that took an equal share would leave training almost none.
_LAPTOP_FAMILIES = {"add-1": 20.0, "add-2": 70.0, "add-3": 65.0, "sub-1": 12.0, "sub-2": 65.0, "mul-1": 18.0}
# Families large enough that a thousand benchmark questions leave most of them to training.
_LARGE_FAMILIES = {"add-2": 1.0, "add-3": 1.0, "sub-2": 1.0}

BENCHMARKS: dict[str, Benchmark] = {
    "arithmetic": Benchmark(
        1, Arithmetic(name="arithmetic benchmark", count=250, seed=20_240_001, families=_LAPTOP_FAMILIES, distinct=True)
    ),
    "arithmetic-1k": Benchmark(
        1, Arithmetic(name="arithmetic-1k benchmark", count=1000, seed=20_240_004, families=_LARGE_FAMILIES, distinct=True)
    ),
    "arithmetic-toy": Benchmark(
        1, Arithmetic(name="arithmetic-toy benchmark", count=24, seed=20_240_002, families={"add-1": 1, "add-2": 1}, distinct=True)
    ),
    "word-problems": Benchmark(2, Worded(name="word-problems benchmark", count=60, seed=20_240_003, distinct=True)),
    "humaneval": Benchmark("1.0.3", HumanEval(name="humaneval benchmark", version="1.0.3")),
    "aime-2024": Benchmark(1, HubDataset("HuggingFaceH4/aime_2024", "problems", splits=("train",))),
    "aime-2025": Benchmark(1, HubDataset("math-ai/aime25", "problems")),
    "math-500": Benchmark(1, HubDataset("HuggingFaceH4/MATH-500", "problems")),
    "gsm8k": Benchmark(1, HubDataset("openai/gsm8k", "gsm8k", subset="main")),
    "ifeval": Benchmark(1, HubDataset("google/IFEval", "ifeval", splits=("train",))),
    "gpqa-diamond": Benchmark(
        1, HubDataset("Idavidrein/gpqa", "gpqa", subset="gpqa_diamond", splits=("train",)), multiple_choice=True
    ),
    "mmlu": Benchmark(1, HubDataset("cais/mmlu", "mmlu", subset="all", splits=("dev", "test")), multiple_choice=True),
}  # fmt: skip
"""The built-in benchmarks, by name; ``livecodebench-YYMM-YYMM`` is one too, for any window of months."""


def definition(name: str) -> Benchmark:
    """The benchmark of a name with or without its pin; one of the user's own is imported.

    Raises BadConfig with the nearest name on a typo, and for an extension that cannot be imported or yields no questions.
    """
    return _built_in(name) or _extension(name)


def _built_in(name: str) -> Benchmark | None:
    """The benchmark of this release; None for another name."""
    bare = bare_name(name)
    if livecodebench_window(bare):
        return Benchmark(1, HubDataset("livecodebench/code_generation_lite", "livecodebench", files="test*.jsonl"))
    return BENCHMARKS.get(bare)


def _extension(name: str) -> Benchmark:
    """The user's own benchmark: a ``Benchmark``, or a function that yields its questions."""
    loaded = extensions.load("benchmarks", name, BENCHMARKS)
    benchmark = loaded if isinstance(loaded, Benchmark) else Benchmark("", loaded) if callable(loaded) else None
    if benchmark is None or isinstance(benchmark.source, HubDataset):
        msg = (
            f"benchmark {name}: expected a function that yields Question rows, or a Benchmark with one as its source, got "
            f"{loaded!r}; see docs/extending.md"
        )
        raise BadConfig(msg)
    return benchmark


def livecodebench_window(name: str) -> Window | None:
    """The months of ``livecodebench-YYMM-YYMM``; None for any other name, and for a window that ends before it begins."""
    match = LIVECODEBENCH.fullmatch(name)
    months = (f"20{match[1]}-{match[2]}", f"20{match[3]}-{match[4]}") if match else None
    return months if months and months[0] <= months[1] else None


def bare_name(name: str) -> str:
    """``gpqa-diamond`` of ``gpqa-diamond@1:DATA``."""
    return name.partition("@")[0]


def pinned(name: str) -> str:
    """``arithmetic`` or ``arithmetic@1`` -> ``arithmetic@1``: in a config, the pin makes the revision part of the fingerprint.

    Raises ValueError on a typo, on a revision other than this release's, and on data that is neither a commit nor a digest. A
    benchmark of the user's own is pinned by its version and is not imported.
    """
    bare, _, rest = name.partition("@")
    benchmark = _built_in(bare)
    if benchmark is None:
        return extensions.pinned("benchmarks", name, BENCHMARKS)
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
