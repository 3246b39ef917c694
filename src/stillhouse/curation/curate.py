"""The two passes of curation, from the sources to published questions."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from stillhouse import sources
from stillhouse.artifacts import tables
from stillhouse.benchmarks.datasets import questions as benchmark_questions
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.curation import contamination, funnel, usable
from stillhouse.curation.config import QuestionsConfig, QuestionsInputs
from stillhouse.curation.downsampling import surplus
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import decide
from stillhouse.curation.first_pass import FirstPass, take_all
from stillhouse.curation.funnel import KeptCounts
from stillhouse.curation.interleaving import interleave
from stillhouse.curation.labels import labeller, refuse_unlabelled
from stillhouse.curation.normalised import normaliser
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.curation.second_pass import publish_kept
from stillhouse.errors import NothingToDo
from stillhouse.vocabulary.rows import Dropped, Question


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
    by_benchmark = {bare_name(name): benchmark_questions(name) for name in config.decontaminate}
    benchmark_index = contamination.index(by_benchmark, config.decontamination)
    drops = Drops(inputs.output)
    spool = QuestionSpool(inputs.scratch / "spool", config.near_duplicates, config.source_order)
    first_pass = FirstPass(
        normaliser(config.tokenizer), config.filters, benchmark_index, inputs.shard, config.sees_all, spool, drops
    )  # fmt: skip
    total = sum(spec.count or 0 for spec in config.sources) + sum(map(tables.count, inputs.imported))
    take_all(first_pass, interleave(streams, config.seed), total, inputs.progress)
    decisions = decide(
        spool, benchmark_index, config.semantic_duplicates, config.embedding_model, config.max_questions, drops.add_match
    )  # fmt: skip
    fewer = partial(surplus, config.downsample, config.seed) if config.downsample else None
    kept = publish_kept(spool, decisions, labeller(config.labels), fewer, drops, inputs.output)
    _refuse(config, inputs, drops, kept)
    usable.self_test(config, inputs.output)
    drops.close()
    return Curated(kept, drops, unmapped)


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
