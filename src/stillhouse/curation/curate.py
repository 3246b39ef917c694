"""The two passes of curation, from the sources to published questions."""

from collections.abc import Iterator, Mapping, Sequence
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
from stillhouse.exchange.row_share import RowShare
from stillhouse.sources.config import Spec
from stillhouse.vocabulary.rows import Dropped, Question


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
) -> list[RowShare]:
    """Judge the rows of this shard's share of the sources, and spool those that pass. Returns what was read of each source."""
    rules = Rules(config.tokenizer, config.filters, benchmark_index)
    total = sum(spec.count or 0 for spec in config.sources) + sum(sum(rows.values()) for rows in _listed(inputs))
    shares = [RowShare(inputs.shard) for _ in config.sources]
    take_all(rules, interleave(_streams(config, inputs, shares), config.seed), spool, drops, total, inputs.progress)
    return shares


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


def _streams(
    config: QuestionsConfig, inputs: QuestionsInputs, shares: Sequence[RowShare]
) -> list[tuple[float, Iterator[Question | Dropped | None]]]:
    """Weight and rows of each source and each imported artifact; None for a row that another shard reads."""
    read = [(spec.weight, _read(spec, share)) for spec, share in zip(config.sources, shares, strict=True)]
    artifacts = zip(inputs.imported, _listed(inputs), strict=True)
    if streams := [*read, *((config.imported_weight, _present(path, parts)) for path, parts in artifacts)]:
        return streams
    msg = "questions: no source in the config and no --input imported=URI; give one of the two"
    raise NothingToDo(msg)


def _read(spec: Spec, share: RowShare) -> Iterator[Question | Dropped | None]:
    """A source's rows. One of which only the first ``count`` are taken is read whole: which rows are good decides where it ends."""
    rows = sources.read(spec)
    if share.shard.count == 1 or spec.count is None:
        return share.of(rows)
    return (row if share.holds(number) else None for number, row in enumerate(rows))


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
