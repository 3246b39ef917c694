"""sources -> questions: read, mix, filter, deduplicate, keep benchmarks out, label.

Every row is judged alone and put aside on disk; then duplicates are decided; then the share of the shard is labelled and published.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from stillhouse import sources
from stillhouse.artifacts import tables
from stillhouse.benchmarks.definitions import bare_name, pinned
from stillhouse.curation import contamination, funnel
from stillhouse.curation.contamination import Decontamination
from stillhouse.curation.downsampling import Shares, surplus
from stillhouse.curation.drops import Ledger
from stillhouse.curation.duplicates import decide
from stillhouse.curation.embedding import PACKAGED, SemanticDuplicates
from stillhouse.curation.filters import Filters
from stillhouse.curation.first_pass import Intake, take_all
from stillhouse.curation.interleaving import interleave
from stillhouse.curation.labels import ModelLabels, labeller, refuse_unlabelled
from stillhouse.curation.near import NearDuplicates
from stillhouse.curation.normalised import reader
from stillhouse.curation.second_pass import deliver
from stillhouse.curation.spool import Pool
from stillhouse.errors import NothingToDo
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.reporting.curation import write_curation
from stillhouse.sources import Spec
from stillhouse.vocabulary.rows import Dropped, Question
from stillhouse.vocabulary.settings import StageConfig

SCHEMA_VERSION = 2


class Config(StageConfig):
    """Which questions to take, and what to keep out."""

    sources: tuple[Spec, ...] = ()
    """Sources to read, each a mapping whose ``kind`` says which; imported questions come as inputs."""
    imported_weight: float = Field(1, gt=0)
    """How often the turn of each imported artifact comes while sources are interleaved."""
    filters: Filters = Filters()
    """Rules on single questions."""
    decontaminate: tuple[Annotated[str, AfterValidator(pinned)], ...] = ()
    """Benchmarks whose questions are kept out, by name; the revision is filled in."""
    decontamination: Decontamination = Decontamination()
    """How they are found."""
    near_duplicates: NearDuplicates | None = None
    """Drop near duplicates by MinHash; null, the default, only drops equal ones."""
    semantic_duplicates: SemanticDuplicates | None = None
    """Drop semantic duplicates by embeddings; null, the default, embeds nothing."""
    embedding_model: str = PACKAGED
    """What embeds questions: a sentence-transformers name or directory, or the packaged model (DeepDistill: bge-m3)."""
    source_order: tuple[str, ...] = ()
    """Sources by name, those whose questions to keep first among duplicates; sources not named come last, as equals."""
    tokenizer: str | None = None
    """Counts n_tokens: a hub name or a directory; null counts words (see ``curation.words``)."""
    labels: ModelLabels | None = None
    """Labels that a model gives; null asks none."""
    downsample: Shares = Field(default_factory=dict)
    """Share of questions to keep by label: ``difficulty/easy: 0.5``. The 1.4M report downsamples easy and medium ones: no value."""
    max_questions: int | None = Field(None, ge=1)
    """Questions to keep at most, before they are labelled; the rest is dropped as surplus."""
    seed: int = 0
    """Decides the order in which sources are interleaved, and which questions downsampling keeps."""

    @property
    def sees_all(self) -> bool:
        """Whether deciding on one shard's questions takes those of the others."""
        return bool(self.near_duplicates or self.semantic_duplicates or self.max_questions)


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Questions that ``stillhouse import`` made artifacts of."""

    imported: tuple[Path, ...] = ()


def run(config: Config, inputs: Inputs) -> Outputs:
    """Make the questions. Raises NothingToDo where there is no source or nothing is left."""
    from stillhouse.benchmarks.datasets import questions as benchmark_questions

    streams = _streams(config, inputs)
    asked = {bare_name(name): benchmark_questions(name) for name in config.decontaminate}
    exams = contamination.index(asked, config.decontamination)
    ledger = Ledger(inputs.output)
    pool = Pool(inputs.scratch / "pool", config.near_duplicates, config.source_order)
    intake = Intake(reader(config.tokenizer), config.filters, exams, inputs.shard, config.sees_all, pool, ledger)
    total = sum(spec.count or 0 for spec in config.sources) + sum(map(tables.count, inputs.imported))
    take_all(intake, interleave(streams, config.seed), total, inputs.progress)
    verdicts = decide(pool, exams, config.semantic_duplicates, config.embedding_model, config.max_questions, ledger.note)
    fewer = partial(surplus, config.downsample, config.seed) if config.downsample else None
    counts = deliver(pool, verdicts, labeller(config.labels), fewer, ledger, inputs.output)
    return _publish(config, inputs, ledger, counts)


def _publish(config: Config, inputs: Inputs, ledger: Ledger, counts: Counter[str]) -> Outputs:
    if config.labels:
        refuse_unlabelled(config.labels, counts)
    if not counts["n_kept"] and inputs.shard.count == 1:
        msg = f"questions: none of {ledger.n_read} questions is left; dropped: {dict(ledger.dropped)}; look at the sources"
        raise NothingToDo(msg)
    ledger.close()
    metrics = funnel.metrics(ledger, counts)
    page = write_curation(inputs.output, metrics, ledger.dropped, ledger.pairs.paths)
    return Outputs(metrics, dict(ledger.dropped), artifacts=[page])


def _streams(config: Config, inputs: Inputs) -> list[tuple[float, Iterator[Question | Dropped]]]:
    imported = [(config.imported_weight, tables.read(path, Question)) for path in inputs.imported]
    if streams := [*((spec.weight, sources.read(spec)) for spec in config.sources), *imported]:
        return streams
    msg = "questions: no source in the config and no --input imported=URI; give one of the two"
    raise NothingToDo(msg)
