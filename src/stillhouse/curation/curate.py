"""The two passes of curation, from the sources to published questions."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from stillhouse import sources
from stillhouse.artifacts import tables
from stillhouse.benchmarks.datasets import questions as benchmark_questions
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.curation import contamination, funnel, meaning, usable
from stillhouse.curation.config import QuestionsConfig, QuestionsInputs, is_location
from stillhouse.curation.contamination import BenchmarkIndex
from stillhouse.curation.downsampling import surplus
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import Decisions, by_form, drop_surplus
from stillhouse.curation.first_pass import FirstPass, take_all
from stillhouse.curation.funnel import KeptCounts
from stillhouse.curation.held_out import held_out, short_name
from stillhouse.curation.interleaving import interleave
from stillhouse.curation.labels import labeller, refuse_unlabelled
from stillhouse.curation.normalised import normaliser
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.curation.second_pass import publish_kept
from stillhouse.errors import NothingToDo
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


def curate(config: QuestionsConfig, inputs: QuestionsInputs) -> Curated:
    """Write the questions to ``inputs.output``. Raises NothingToDo without a source, or if no question is left."""
    unmapped: dict[str, Counter[str]] = {spec.name: Counter() for spec in config.sources}
    streams = _streams(config, inputs, unmapped)
    benchmark_index = contamination.index(dict(map(_kept_out, config.decontaminate)), config.decontamination)
    drops = Drops(inputs.output)
    compared = config.near_duplicates or config.semantic_duplicates
    spool = QuestionSpool(
        inputs.scratch / "spool", config.near_duplicates, config.source_order, config.boilerplate_from if compared else None
    )  # fmt: skip
    first_pass = FirstPass(
        normaliser(config.tokenizer), config.filters, benchmark_index, inputs.shard, config.sees_all, spool, drops
    )  # fmt: skip
    total = sum(spec.count or 0 for spec in config.sources) + sum(map(tables.count, inputs.imported))
    take_all(first_pass, interleave(streams, config.seed), total, inputs.progress)
    decisions = _decide(config, spool, benchmark_index, drops)
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


def _decide(config: QuestionsConfig, spool: QuestionSpool, benchmark_index: BenchmarkIndex, drops: Drops) -> Decisions:
    """Decide which spooled questions stay: first by form, then by meaning."""
    if benchmark_index.entries and _lacks_embeddings(config):
        print(
            "warning: decontamination goes by words alone: the extra `embed` is not installed here; install it, or set "
            "decontamination.min_similarity to null to have it so",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    decisions, order = by_form(spool, config.max_questions)
    if meaning.wanted(config, benchmark_index):
        compared = meaning.Meaning(config, benchmark_index)
        for match in compared.compare(spool, decisions, order):
            drops.add_match(match)
        drops.counts.update(compared.counts)
    drop_surplus(decisions)
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
    config: QuestionsConfig, inputs: QuestionsInputs, unmapped: Mapping[str, Counter[str]]
) -> list[tuple[float, Iterator[Question | Dropped]]]:  # fmt: skip
    """Weight and rows of each source and each imported artifact."""
    imported = [(config.imported_weight, tables.read(path, Question)) for path in inputs.imported]
    if streams := [*((spec.weight, sources.read(spec, unmapped[spec.name])) for spec in config.sources), *imported]:
        return streams
    msg = "questions: no source in the config and no --input imported=URI; give one of the two"
    raise NothingToDo(msg)
