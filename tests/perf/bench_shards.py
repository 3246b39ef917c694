"""CPU, peak memory and bytes fetched of 1, 2, 8 and 16 shards, each a process, as ratios to one; the rows are compared bit for bit.

Four million generated questions are curated (equal and near duplicates); of as many others, forty million verdicts are graded, and
questions are selected by level within limits. STILLHOUSE_BENCH_ROWS sets another number of questions, STILLHOUSE_BENCH_STAGES names
some of the stages, as words. Processes run one after the other on one core each, so that CPU seconds compare; what a process takes
to start and import is left out. Bytes are those of a stage's inputs and, apart from them, those that its own steps hand on to each
other: the rows once more, and summaries.
"""

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from stillhouse import stages
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.artifacts.file_store import FileStore, local_path
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.execution.execute import execute
from stillhouse.vocabulary.rows import Question, Verified
from stillhouse.vocabulary.settings import StageConfig
from stillhouse.vocabulary.shards import Shard, index_of
from tests.perf.bench_curation import texts
from tests.perf.measure import table

N_ROWS = int(os.environ.get("STILLHOUSE_BENCH_ROWS", "4_000_000"))
STAGES = os.environ.get("STILLHOUSE_BENCH_STAGES", "questions graded selected").split()
COUNTS = (1, 2, 8, 16)
MODELS, SAMPLES = ("small", "medium"), 5
FILES = 80
"""Part files of the questions that are imported: as many as four million rows have."""
CONFIGS: dict[str, dict[str, Any]] = {
    "questions": {"near_duplicates": {}, "boilerplate_from": None},
    "graded": {"small": "small", "medium": "medium"},
    "selected": {
        "sft_split": None, "anneal_split": None, "rl_splits": {"rl": [1, 2]}, "limits": {"rl": {"size": max(N_ROWS // 10, 1)}},
    },
}  # fmt: skip


class Used(NamedTuple):
    """What one process used: CPU seconds and peak GiB without its start, and bytes fetched of the stage's inputs."""

    seconds: float
    gib: float
    fetched: int
    handed_on: int
    """Bytes fetched of what an earlier step of the same stage published."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-") as directory:
        root = Path(directory)
        source = (root / "source").as_uri()
        if "questions" in STAGES:
            _bench(root, "questions", {"imported": _in_process(_import, source)})
        if {"graded", "selected"} & set(STAGES):
            source = (root / "asked").as_uri()  # a store of its own: equal fingerprints are never made twice
            questions = _in_process(_ask, source)
            verified = _in_process(_verify, source, questions)
            # What is selected from is graded in any case, in the most shards.
            _bench(root, "graded", {"questions": questions, "verified": verified}, COUNTS if "graded" in STAGES else COUNTS[-1:])
        if "selected" in STAGES:
            _bench(root, "selected", {"questions": questions, "graded": _uri(root, "graded", COUNTS[-1])})


def _bench(root: Path, stage: str, inputs: dict[str, str], counts: Sequence[int] = COUNTS) -> None:
    """Print what one stage takes in these numbers of shards; only the output of the last one stays."""
    rows = []
    first: Used | None = None
    expected = None
    for count in counts:
        shards = [_in_process(_shard, stage, inputs, _uri(root, stage, count), index, count) for index in range(count)]
        used = Used(
            sum(shard.seconds for shard in shards), max(shard.gib for shard in shards),
            sum(shard.fetched for shard in shards), sum(shard.handed_on for shard in shards),
        )  # fmt: skip
        first = first or used
        digest, n_rows = _in_process(_digest, _uri(root, stage, count))
        expected = expected or digest
        if count != counts[-1]:
            shutil.rmtree(root / str(count))
        rows.append((
            stage, str(count), n_rows, used.seconds, used.seconds / first.seconds, used.gib, used.gib / first.gib,
            used.fetched / 1e6, used.fetched / first.fetched, used.handed_on / 1e6, digest == expected,
        ))  # fmt: skip
    header = (
        "stage", "shards", "rows", "CPU s", "× one", "peak GiB", "× one", "MB of inputs", "× one", "MB between steps", "rows equal",
    )  # fmt: skip
    table(header, rows)


def _uri(root: Path, stage: str, count: int) -> str:
    return f"{(root / str(count)).as_uri()}/{stage}/bench/1"


def _in_process(call: Callable[..., Any], *arguments: Any) -> Any:
    """A call in a process of its own, on one core."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_on_one_core) as process:
        return process.submit(call, *arguments).result()


def _on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _shard(stage: str, inputs: dict[str, str], output: str, index: int, count: int) -> Used:
    """Make one shard, and what its stage decides over all shards as far as nobody has."""
    module = stages.load(stage)
    fetched = {"inputs": 0, "steps": 0}
    download = FileStore.download

    def counted(self: FileStore, uri: str, name: str, target: Path) -> str:
        digest = download(self, uri, name, target)
        fetched["steps" if uri.startswith(f"{output}/") else "inputs"] += target.stat().st_size
        return digest

    FileStore.download = counted  # type: ignore[method-assign]
    _warm_up()
    before = _cpu()
    execute(module, module.Config(**CONFIGS[stage]), inputs, output, Shard(index, count))
    return Used(_cpu() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, fetched["inputs"], fetched["steps"])


def _warm_up() -> None:
    """Import what the stages import when they run, and load what they load once."""
    from stillhouse.curation import shard_curation
    from stillhouse.grading import grades
    from stillhouse.reporting import charts, curation, dataset
    from stillhouse.selection import shard_selection
    from stillhouse.vocabulary.languages import language_of

    language_of("Guten Tag", ["guten", "tag"])
    charts.ranked([("warm", 1)], "up")
    assert all((shard_curation, grades, curation, dataset, shard_selection))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _digest(uri: str) -> tuple[int, int]:
    """A number that is equal for equal rows in whatever order, and how many rows there are."""
    manifest = manifests.load(uri)
    total, n_rows = 0, 0
    for name in manifest.files:
        if Path(name).name.startswith("part-") and "dropped" not in name:
            directory, stored = manifests.location(uri, manifest, name)
            frame = pl.read_parquet(_file(directory, stored))
            # Of a row's JSON: hashes of nested columns are not equal for equal values.
            total += int(frame.to_struct().struct.json_encode().hash(seed=1).cast(pl.Int128).sum())
            n_rows += frame.height
    return total, n_rows


def _file(directory: str, stored: str) -> Path:
    return local_path(directory) / stored


def _publish(stage: str, output: str, write: Callable[[StageInputs], None], count: int) -> str:
    """An artifact of rows made here, in this number of shards."""

    def run(_: StageConfig, inputs: StageInputs) -> Outputs:
        write(inputs)
        return Outputs()

    module: Any = SimpleNamespace(__name__=stage, Config=StageConfig, Inputs=StageInputs, run=run)
    for index in range(count):
        execute(module, StageConfig(), {}, output, Shard(index, count))
    return output


def _import(root: str) -> str:
    """The generated questions, as ``stillhouse import`` would publish them."""

    def write(inputs: StageInputs) -> None:
        source, size = texts(N_ROWS), -(-N_ROWS // FILES)
        for part in range(FILES):
            contents = [text for text, _ in zip(source, range(size), strict=False)]
            n = len(contents)
            message = pa.StructArray.from_arrays([pa.array(["user"] * n), pa.array(contents)], names=["role", "content"])
            given = {
                "question_id": pa.array([f"{part}-{row}" for row in range(n)], pa.string()),
                "category": pa.array(["math"] * n, pa.string()), "source": pa.array(["generated"] * n, pa.string()),
                "messages": pa.ListArray.from_arrays(pa.array(range(n + 1), pa.int32()), message),
                "reference_answer": pa.array([str(len(text)) for text in contents], pa.string()),
            }  # fmt: skip
            columns = [given.get(field.name, pa.nulls(n, field.type)) for field in Question.SCHEMA]
            tables.write_table(inputs.output / f"part-{part:05d}.parquet", pa.Table.from_arrays(columns, schema=Question.SCHEMA))

    return _publish("questions", f"{root}/questions/bench/1", write, 1)


def _ask(root: str) -> str:
    """Short questions that all differ, in as many shards as there are at most."""
    ids = np.array([f"q{number}" for number in range(N_ROWS)])
    shards = np.fromiter((index_of(key, COUNTS[-1]) for key in ids.tolist()), np.int64, N_ROWS)

    def write(inputs: StageInputs) -> None:
        own = pl.DataFrame({"question_id": ids[shards == inputs.shard.index]}).with_columns(
            category=pl.lit("math"), source=pl.lit("generated"), reference_answer=pl.lit("2"),
            content=pl.lit("What is 1 + 1, asked for the time ") + pl.col("question_id") + "?",
        )  # fmt: skip
        asked = own.with_columns(messages=pl.concat_list(pl.struct(pl.lit("user").alias("role"), "content"))).to_arrow()
        given = {name: asked[name] for name in asked.column_names}
        columns = [
            (given[field.name] if field.name in given else pa.nulls(own.height, field.type)).cast(field.type)
            for field in Question.SCHEMA
        ]
        tables.write_table(inputs.output / "part-00000.parquet", pa.Table.from_arrays(columns, schema=Question.SCHEMA))

    return _publish("questions", f"{root}/questions/asked/1", write, COUNTS[-1])


def _verify(root: str, questions: str) -> str:
    """Ten verdicts on every question, in as many shards as the questions."""
    manifest = manifests.load(questions)

    def write(inputs: StageInputs) -> None:
        rng = np.random.default_rng(inputs.shard.index)
        parts = [name for name in manifest.files if name.startswith(f"shards/{inputs.shard.name}/part-")]
        for number, name in enumerate(sorted(parts)):
            ids = pl.read_parquet(_file(*manifests.location(questions, manifest, name)), columns=["question_id"])["question_id"]
            n = len(ids) * len(MODELS) * SAMPLES
            rows = np.repeat(np.arange(len(ids), dtype=np.uint32), len(MODELS) * SAMPLES)
            rate = np.repeat(rng.random(len(ids) * len(MODELS)).round(), SAMPLES) * 0.5 + 0.25
            passed = rng.random(n) < rate
            frame = pl.DataFrame({
                "question_id": ids.gather(rows),
                "model": pl.Series(MODELS).gather(np.tile(np.repeat(np.arange(len(MODELS)), SAMPLES), len(ids))),
                "passed": passed, "verify_score": passed.astype(float),
                "sample_index": np.tile(np.arange(SAMPLES), len(ids) * len(MODELS)),
            }).with_columns(
                prompt_kind=pl.lit("question"), round=pl.lit(1), kind=pl.lit("correct"), method=pl.lit("math"), detail=pl.lit(""),
                seconds=pl.lit(0.0), content_id=pl.lit("c"), threshold=pl.lit(0.99),
            )  # fmt: skip
            columns = frame.to_arrow().select(Verified.SCHEMA.names).cast(Verified.SCHEMA)
            tables.write_table(inputs.output / f"part-{number:05d}.parquet", columns)

    return _publish("verified", f"{root}/verified/bench/1", write, COUNTS[-1])
