"""The two passes of curation, from the sources to published questions."""

import sys
from collections import Counter
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
from stillhouse.curation import contamination, dealing, funnel, meaning, usable
from stillhouse.curation.config import QuestionsConfig, QuestionsInputs, is_location
from stillhouse.curation.contamination import BenchmarkIndex
from stillhouse.curation.downsampling import surplus
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import Decisions, by_form, drop_surplus
from stillhouse.curation.first_pass import Rules, take_all
from stillhouse.curation.funnel import KeptCounts
from stillhouse.curation.held_out import held_out, short_name
from stillhouse.curation.interleaving import interleave
from stillhouse.curation.kept_opinions import KeptOpinions
from stillhouse.curation.labels import labeller, refuse_unlabelled
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.curation.second_pass import QuestionDecisions, SpooledQuestions, publish_kept
from stillhouse.errors import NothingToDo
from stillhouse.exchange.row_share import RowShare
from stillhouse.sources.config import Spec
from stillhouse.vocabulary.rows import Dropped, Question

WIPED_OUT, WIPED_OUT_FROM = 0.8, 20
"""A source of at least this many questions of which at least this share are duplicates is warned of."""


@dataclass(frozen=True)
class Curated:
    """The result of curation; the questions lie in the stage's output."""

    kept: KeptCounts
    drops: Drops
    unmapped: Mapping[str, Counter[str]]
    """Source -> column that its mapping leaves out -> rows with a value in it."""

    def metrics(self) -> dict[str, float]:
        """What the stage says of its result."""
        left_out = {
            f"n_unmapped/{funnel.metric(name)}/{funnel.metric(column)}": float(n)
            for name, counts in self.unmapped.items() for column, n in sorted(counts.items())
        }  # fmt: skip
        return {**funnel.metrics(self.drops, self.kept), **left_out}


@dataclass(frozen=True)
class SourcesRead:
    """What was read of the sources."""

    shares: Sequence[RowShare]
    """Of each source."""
    unmapped: Mapping[str, Counter[str]]
    """As in ``Curated``."""


def curate(config: QuestionsConfig, inputs: QuestionsInputs) -> Curated:
    """Write the questions to ``inputs.output``. Raises NothingToDo without a source, or if no question is left."""
    benchmark_index, drops, spool = index(config), Drops(inputs.output), new_spool(config, inputs)
    unmapped = first_pass(config, inputs, benchmark_index, spool, drops).unmapped
    decisions = decide(config, spool, benchmark_index, drops, opinions(inputs, inputs.output))
    return publish(config, inputs, spool, decisions, drops, unmapped)


def opinions(inputs: QuestionsInputs, directory: Path) -> KeptOpinions:
    """What language models said in the version before and in earlier tries; further opinions go to ``directory``."""
    return KeptOpinions(directory, inputs.publish_part).load([inputs.previous, inputs.finished])


def index(config: QuestionsConfig) -> BenchmarkIndex:
    """The questions of benchmarks, files and artifacts to keep out."""
    return contamination.index(dict(map(_kept_out, config.decontaminate)), config.decontamination)


def leaves_out_boilerplate(config: QuestionsConfig) -> bool:
    """Whether questions are compared without the sentences that many of them share."""
    return config.boilerplate_from is not None and bool(config.near_duplicates or config.semantic_duplicates)


def new_spool(config: QuestionsConfig, inputs: QuestionsInputs) -> QuestionSpool:
    """An empty spool."""
    boilerplate_from = config.boilerplate_from if leaves_out_boilerplate(config) else None
    return QuestionSpool(inputs.scratch / "spool", config.near_duplicates, config.source_order, boilerplate_from)


def first_pass(
    config: QuestionsConfig, inputs: QuestionsInputs, benchmark_index: BenchmarkIndex, spool: QuestionSpool, drops: Drops
) -> SourcesRead:
    """Judge the rows of this shard's share of the sources, and spool those that pass."""
    rules = Rules(config.tokenizer, config.filters, benchmark_index)
    total = sum(spec.count or 0 for spec in config.sources) + sum(sum(rows.values()) for rows in _listed(inputs))
    read = SourcesRead([RowShare(inputs.shard) for _ in config.sources], {spec.name: Counter() for spec in config.sources})
    if inputs.dealt is not None:
        for name, columns in dealing.unmapped_columns(inputs.dealt / f"to-{inputs.shard.index}").items():
            read.unmapped[name].update(columns)
    take_all(rules, interleave(_streams(config, inputs, read), config.seed), spool, drops, total, inputs.progress)
    return read


def publish(
    config: QuestionsConfig, inputs: QuestionsInputs, spool: SpooledQuestions, decisions: QuestionDecisions, drops: Drops,
    unmapped: Mapping[str, Counter[str]],
) -> Curated:  # fmt: skip
    """Label and write the questions that stay, and the drops. Raises NothingToDo if no question is left."""
    fewer = partial(surplus, config.downsample, config.seed) if config.downsample else None
    kept = publish_kept(spool, decisions, labeller(config.labels), fewer, drops, inputs.output)
    _refuse(config, inputs, drops, kept)
    _warn_of_wiped_out_sources(drops, kept)
    usable.self_test(config, inputs.output)
    drops.close()
    return Curated(kept, drops, unmapped)


def _kept_out(name: str) -> tuple[str, list[Question]]:
    """The short name and the questions of a benchmark, a file or an artifact."""
    return (short_name(name), held_out(name)) if is_location(name) else (bare_name(name), benchmark_questions(name))


def decide(
    config: QuestionsConfig, spool: QuestionSpool, benchmark_index: BenchmarkIndex, drops: Drops, kept: KeptOpinions
) -> Decisions:
    """Decide which spooled questions stay: first by form, then by meaning."""
    if benchmark_index.entries and _lacks_embeddings(config):
        print(
            "warning: decontamination goes by words alone: the extra `embed` is not installed here; install it, or set "
            "decontamination.min_similarity to null to have it so",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    decisions, order = by_form(spool, config.max_questions)
    if meaning.wanted(config, benchmark_index):
        compared = meaning.Meaning(config, benchmark_index, kept)
        for match in compared.compare(spool, decisions, order):
            drops.add_match(match)
        drops.counts.update(compared.counts)
    drop_surplus(decisions, spool.columns())
    decisions.look_up(spool)
    return decisions


def _lacks_embeddings(config: QuestionsConfig) -> bool:
    """Whether embeddings are off because they are not installed, not because the recipe says so."""
    return config.decontamination.min_similarity is None and "min_similarity" not in config.decontamination.model_fields_set


def _warn_of_wiped_out_sources(drops: Drops, kept: KeptCounts) -> None:
    for name, n_gone in drops.duplicates.items():
        n_compared = n_gone + kept.by_column["kept"][name]
        if n_compared >= WIPED_OUT_FROM and n_gone >= WIPED_OUT * n_compared:
            print(
                f"warning: source {name}: {n_gone:,} of {n_compared:,} questions are duplicates and dropped; if they share a "
                "template or an instruction and are different tasks, look at dropped/ and at the similarities in the config",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def _refuse(config: QuestionsConfig, inputs: QuestionsInputs, drops: Drops, kept: KeptCounts) -> None:
    """Raise if the model labelled too few questions, or if no question is left."""
    if config.labels:
        refuse_unlabelled(config.labels, kept.labels)
    if not kept.n_kept and inputs.shard.count == 1:
        msg = f"questions: none of {drops.n_read} questions is left; dropped: {dict(drops.dropped)}; look at the sources"
        raise NothingToDo(msg)


def _streams(
    config: QuestionsConfig, inputs: QuestionsInputs, into: SourcesRead
) -> list[tuple[float, Iterator[Question | Dropped | None]]]:
    """Weight and rows of each source and each imported artifact; None for a row that another shard reads."""
    read = [(spec.weight, _read(number, spec, inputs, into)) for number, spec in enumerate(config.sources)]
    artifacts = zip(inputs.imported, _listed(inputs), strict=True)
    if streams := [*read, *((config.imported_weight, _present(path, parts)) for path, parts in artifacts)]:
        return streams
    msg = "questions: no source in the config and no --input imported=URI; give one of the two"
    raise NothingToDo(msg)


def _read(number: int, spec: Spec, inputs: QuestionsInputs, into: SourcesRead) -> Iterator[Question | Dropped | None]:
    """The rows of the source of this number: read here, or dealt to this shard by whoever read it for all."""
    if inputs.dealt is not None and dealing.is_dealt(spec):
        return dealing.dealt(inputs.dealt / f"to-{inputs.shard.index}", number)
    return into.shares[number].of(sources.read(spec, into.unmapped[spec.name]))


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
