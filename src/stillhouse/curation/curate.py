"""The two passes of curation, from the sources to published questions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

import pyarrow.parquet as pq

from stillhouse import sources
from stillhouse.artifacts import tables
from stillhouse.benchmarks.datasets import questions as benchmark_questions
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.curation import contamination, funnel
from stillhouse.curation.config import QuestionsConfig, QuestionsInputs
from stillhouse.curation.contamination import BenchmarkIndex
from stillhouse.curation.downsampling import surplus
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import decide
from stillhouse.curation.first_pass import Rules, take_all
from stillhouse.curation.funnel import KeptCounts
from stillhouse.curation.interleaving import interleave
from stillhouse.curation.labels import labeller, refuse_unlabelled
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.curation.second_pass import QuestionDecisions, SpooledQuestions, publish_kept
from stillhouse.errors import NothingToDo
from stillhouse.vocabulary.rows import Dropped, Question
from stillhouse.vocabulary.shards import Shard

STRETCH = 16
"""Rows of a source in a row that one shard takes."""


@dataclass(frozen=True)
class Curated:
    """The result of curation; the questions lie in the stage's output."""

    kept: KeptCounts
    drops: Drops

    def metrics(self) -> dict[str, float]:
        """What the stage says of its result."""
        return funnel.metrics(self.drops, self.kept)


def curate(config: QuestionsConfig, inputs: QuestionsInputs) -> Curated:
    """Write the questions to ``inputs.output``. Raises NothingToDo without a source, or if no question is left."""
    benchmark_index, drops = index(config), Drops(inputs.output)
    spool = QuestionSpool(inputs.scratch / "spool", config.near_duplicates, config.source_order)
    first_pass(config, inputs, benchmark_index, spool, drops)
    decisions = decide(
        spool, benchmark_index, config.semantic_duplicates, config.embedding_model, config.max_questions, drops.add_match
    )  # fmt: skip
    return publish(config, inputs, spool, decisions, drops)


def index(config: QuestionsConfig) -> BenchmarkIndex:
    """The benchmarks' questions to keep out."""
    by_benchmark = {bare_name(name): benchmark_questions(name) for name in config.decontaminate}
    return contamination.index(by_benchmark, config.decontamination)


def first_pass(
    config: QuestionsConfig, inputs: QuestionsInputs, benchmark_index: BenchmarkIndex, spool: QuestionSpool, drops: Drops
) -> None:
    """Judge the rows of this shard's share of the sources, and spool those that pass."""
    rules = Rules(config.tokenizer, config.filters, benchmark_index)
    total = sum(spec.count or 0 for spec in config.sources) + sum(sum(rows.values()) for rows in _listed(inputs))
    take_all(rules, interleave(_streams(config, inputs), config.seed), spool, drops, total, inputs.progress)


def publish(
    config: QuestionsConfig, inputs: QuestionsInputs, spool: SpooledQuestions, decisions: QuestionDecisions, drops: Drops
) -> Curated:
    """Label and write the questions that stay, and the drops. Raises NothingToDo if no question is left."""
    fewer = partial(surplus, config.downsample, config.seed) if config.downsample else None
    kept = publish_kept(spool, decisions, labeller(config.labels), fewer, drops, inputs.output)
    _refuse(config, inputs, drops, kept)
    drops.close()
    return Curated(kept, drops)


def _refuse(config: QuestionsConfig, inputs: QuestionsInputs, drops: Drops, kept: KeptCounts) -> None:
    """Raise if the model labelled too few questions, or if no question is left."""
    if config.labels:
        refuse_unlabelled(config.labels, kept.labels)
    if not kept.n_kept and inputs.shard.count == 1:
        msg = f"questions: none of {drops.n_read} questions is left; dropped: {dict(drops.dropped)}; look at the sources"
        raise NothingToDo(msg)


def _streams(config: QuestionsConfig, inputs: QuestionsInputs) -> list[tuple[float, Iterator[Question | Dropped | None]]]:
    """Weight and rows of each source and each imported artifact; rows of other shards' shares are None."""
    read = [(spec.weight, _share(sources.read(spec), inputs.shard)) for spec in config.sources]
    artifacts = zip(inputs.imported, _listed(inputs), strict=True)
    if streams := [*read, *((config.imported_weight, _present(path, parts)) for path, parts in artifacts)]:
        return streams
    msg = "questions: no source in the config and no --input imported=URI; give one of the two"
    raise NothingToDo(msg)


def _share(rows: Iterator[Question | Dropped], shard: Shard) -> Iterator[Question | Dropped | None]:
    """Every count-th stretch of a source is this shard's."""
    for number, row in enumerate(rows):
        yield row if number // STRETCH % shard.count == shard.index else None


def _listed(inputs: QuestionsInputs) -> list[Mapping[str, int]]:
    """Rows by part file of each imported artifact, those of other shards too."""
    if listed := inputs.listed.get("imported"):
        return list(listed)
    return [
        {part.relative_to(path).as_posix(): pq.read_metadata(part).num_rows for part in tables.parts(path)}
        for path in inputs.imported
    ]


def _present(directory: Path, parts: Mapping[str, int]) -> Iterator[Question | None]:
    """The rows of an artifact's parts in order; None for each row of a part that was not fetched, as another shard reads it."""
    for name, n_rows in parts.items():
        part = directory / name
        yield from tables.read(part, Question) if part.exists() else repeat(None, n_rows)
