"""Benchmarks: what a checkpoint is asked, and what its answers say about it."""

from dataclasses import dataclass, replace

from stillhouse import sources
from stillhouse.errors import BadConfig, nearest
from stillhouse.rows import Question
from stillhouse.sources.arithmetic import Arithmetic
from stillhouse.sources.human_eval import HumanEval
from stillhouse.sources.worded import Worded


@dataclass(frozen=True)
class Benchmark:
    """A fixed set of questions. Whoever changes the questions raises the revision: scores of two revisions do not compare."""

    revision: int | str
    source: sources.Spec


# One-digit families are small (sub-1 has 45 questions): a benchmark that took an equal share would leave training nearly none.
_LAPTOP_FAMILIES = {"add-1": 20.0, "add-2": 70.0, "add-3": 65.0, "sub-1": 12.0, "sub-2": 65.0, "mul-1": 18.0}

BENCHMARKS: dict[str, Benchmark] = {
    "arithmetic": Benchmark(
        1, Arithmetic(name="arithmetic benchmark", count=250, seed=20_240_001, families=_LAPTOP_FAMILIES, distinct=True)
    ),
    "arithmetic-toy": Benchmark(
        1, Arithmetic(name="arithmetic-toy benchmark", count=24, seed=20_240_002, families={"add-1": 1, "add-2": 1}, distinct=True)
    ),
    "word-problems": Benchmark(2, Worded(name="word-problems benchmark", count=60, seed=20_240_003, distinct=True)),
    "humaneval": Benchmark("1.0.3", HumanEval(name="humaneval benchmark", version="1.0.3")),
}  # fmt: skip


def questions(name: str) -> list[Question]:
    """The benchmark's questions, without worked responses. Raises BadConfig with the nearest name on a typo."""
    try:
        source = BENCHMARKS[known(name)].source
    except ValueError as error:
        raise BadConfig(str(error)) from error
    return [replace(row, original_response=None) for row in sources.read(source) if isinstance(row, Question)]


def known(name: str) -> str:
    """The name, for a config's validator. Raises ValueError with the nearest name on a typo."""
    if name not in BENCHMARKS:
        msg = f"no benchmark {name!r}; {nearest(name, BENCHMARKS, 'benchmarks')}"
        raise ValueError(msg)
    return name


def pinned(name: str) -> str:
    """``arithmetic`` or ``arithmetic@1`` -> ``arithmetic@1``: in a config it makes the revision part of the fingerprint.

    Raises ValueError on a typo, or on a revision this release does not have.
    """
    bare, at, revision = name.partition("@")
    current = str(BENCHMARKS[known(bare)].revision)
    if at and revision != current:
        msg = f"benchmark {bare} has revision {current} here, {revision or 'none'} is named; write {bare}@{current} or {bare}"
        raise ValueError(msg)
    return f"{bare}@{current}"
