"""Benchmarks: what a checkpoint is asked, and what its answers say about it.

A benchmark is named ``NAME@REVISION``; ``NAME`` alone means its revision here. A published one needs its data too,
``NAME@REVISION:DATA``, or ``NAME@DATA`` for short: see ``published``.
"""

from dataclasses import dataclass, replace
from functools import partial

from stillhouse import sources
from stillhouse.benchmarks import adapters, livecodebench, multiple_choice
from stillhouse.benchmarks.datasets import DATA, Published, read
from stillhouse.errors import BadConfig, nearest
from stillhouse.sources.config import Arithmetic, HumanEval, Spec, Worded
from stillhouse.vocabulary.rows import Question


@dataclass(frozen=True)
class Benchmark:
    """A fixed set of questions. Whoever changes the questions raises the revision: scores of two revisions do not compare."""

    revision: int | str
    source: Spec | Published
    multiple_choice: bool = False
    """The reference is the letter of a choice, and the answer the letter it names."""


# One-digit families are small (sub-1 has 45 questions): a benchmark that took an equal share would leave training nearly none.
_LAPTOP_FAMILIES = {"add-1": 20.0, "add-2": 70.0, "add-3": 65.0, "sub-1": 12.0, "sub-2": 65.0, "mul-1": 18.0}
# Large enough that a thousand questions leave training most of theirs.
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
    "aime-2024": Benchmark(1, Published("HuggingFaceH4/aime_2024", adapters.problems, splits=("train",))),
    "aime-2025": Benchmark(1, Published("math-ai/aime25", adapters.problems)),
    "math-500": Benchmark(1, Published("HuggingFaceH4/MATH-500", adapters.problems)),
    "gsm8k": Benchmark(1, Published("openai/gsm8k", adapters.gsm8k, subset="main")),
    "ifeval": Benchmark(1, Published("google/IFEval", adapters.ifeval, splits=("train",))),
    "gpqa-diamond": Benchmark(
        1, Published("Idavidrein/gpqa", multiple_choice.gpqa, subset="gpqa_diamond", splits=("train",)), multiple_choice=True
    ),
    "mmlu": Benchmark(1, Published("cais/mmlu", multiple_choice.mmlu, subset="all", splits=("dev", "test")), multiple_choice=True),
}  # fmt: skip
"""By name; ``livecodebench-YYMM-YYMM`` is one too, for any window of months."""


def definition(name: str) -> Benchmark:
    """The benchmark of a name with or without revision. Raises ValueError with the nearest name on a typo."""
    bare = bare_name(name)
    if window := livecodebench.window(bare):
        form = partial(livecodebench.questions, window=window)
        return Benchmark(1, Published("livecodebench/code_generation_lite", form, files="test*.jsonl"))
    if bare not in BENCHMARKS:
        names = [*BENCHMARKS, "livecodebench-2408-2501"]
        msg = f"no benchmark {bare!r}; {nearest(bare, names, 'benchmarks')}"
        raise ValueError(msg)
    return BENCHMARKS[bare]


def bare_name(name: str) -> str:
    """``gpqa-diamond`` of ``gpqa-diamond@1:DATA``."""
    return name.partition("@")[0]


def questions(name: str) -> list[Question]:
    """The benchmark's questions, without worked responses.

    Raises BadConfig with the nearest name on a typo, and for a published benchmark whose data is not named; MissingInput where
    that cannot be reached.
    """
    try:
        full = pinned(name)
    except ValueError as error:
        raise BadConfig(str(error)) from error
    source = definition(full).source
    found = read(source, bare_name(full), full.partition(":")[2]) if isinstance(source, Published) else sources.read(source)
    return [replace(row, original_response=None) for row in found if isinstance(row, Question)]


def pinned(name: str) -> str:
    """``arithmetic`` or ``arithmetic@1`` -> ``arithmetic@1``: in a config it makes the revision part of the fingerprint.

    Raises ValueError on a typo, on a revision this release does not have, or on data that is neither a commit nor a digest.
    """
    bare, _, rest = name.partition("@")
    benchmark = definition(bare)
    revision, colon, data = rest.partition(":")
    if isinstance(benchmark.source, Published) and not colon and DATA.fullmatch(rest):
        revision, data = "", rest
    current = f"{bare}@{benchmark.revision}"
    if revision not in {"", str(benchmark.revision)} or name.endswith("@"):
        msg = f"benchmark {bare} has revision {benchmark.revision} here, {rest or 'none'} is named; write {current} or {bare}"
        raise ValueError(msg)
    if not data and not colon:
        return current
    if not isinstance(benchmark.source, Published) or not DATA.fullmatch(data):
        msg = f"benchmark {name}: {data or 'nothing'} is no data of it; write {bare} with nothing, a commit or sha256-… after an @"
        raise ValueError(msg)
    return f"{current}:{data}"
