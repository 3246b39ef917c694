"""sources -> questions: read, mix, and drop what is empty, cannot be verified, is there twice or is asked by a benchmark."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from stillhouse import benchmarks, identity, rows, sources
from stillhouse.curation import contamination
from stillhouse.curation.flaws import flaw
from stillhouse.curation.interleaving import interleave
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.rows import Dropped, Question
from stillhouse.sources import Spec
from stillhouse.stage import Outputs, StageConfig, StageInputs

PROGRESS_EVERY = 500


class Config(StageConfig):
    """Which questions to take, and what to keep out."""

    sources: tuple[Spec, ...] = ()
    """Sources to read, each a mapping whose ``kind`` says which; imported questions come as inputs."""
    imported_weight: float = Field(1, gt=0)
    """How often the turn of each imported artifact comes while sources are interleaved."""
    decontaminate: tuple[Annotated[str, AfterValidator(benchmarks.pinned)], ...] = ()
    """Benchmarks whose questions are kept out, by name; the revision is filled in."""
    max_questions: int | None = Field(None, ge=1)
    """Questions to keep at most; the rest is dropped as surplus."""
    seed: int = 0
    """Decides the order in which sources are interleaved."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Questions that ``stillhouse import`` made artifacts of."""

    imported: tuple[Path, ...] = ()


def run(config: Config, inputs: Inputs) -> Outputs:
    """Read all sources. Raises NothingToDo where there is none, or none of their questions is left."""
    _refuse_nothing(config, inputs)
    names = [name.partition("@")[0] for name in config.decontaminate]
    indexed = contamination.index({name: benchmarks.questions(name) for name in names})
    seen: set[str] = set()
    kept: list[Question] = []
    drops: list[Dropped] = []
    n_read: Counter[str] = Counter()
    total = sum(spec.count or 0 for spec in config.sources) + sum(map(rows.count, inputs.imported))
    for done, row in enumerate(interleave(_streams(config, inputs), config.seed), start=1):
        if done % PROGRESS_EVERY == 0 or done == total:
            inputs.progress(done, max(done, total), "questions")
        if isinstance(row, Dropped):
            drops.append(row)
            continue
        question = replace(row, question_id=identity.question_id(row.messages, row.reference_answer))
        n_read[question.source or "none"] += 1
        reason = flaw(question, seen, indexed)
        if reason is None and len(kept) == config.max_questions:
            reason = ("surplus", f"max_questions is {config.max_questions}")
        if reason is None:
            kept.append(question)
        else:
            drops.append(rows.dropped(question, *reason))
    return _publish(inputs, kept, drops, n_read)


def _refuse_nothing(config: Config, inputs: Inputs) -> None:
    if inputs.shard.count > 1:
        msg = f"questions: --shard {inputs.shard.name} cannot be: duplicates are found by looking at all questions; leave it out"
        raise BadConfig(msg)
    if not config.sources and not inputs.imported:
        msg = "questions: no source in the config and no --input imported=URI; give one of the two"
        raise NothingToDo(msg)


def _streams(config: Config, inputs: Inputs) -> list[tuple[float, Iterator[Question | Dropped]]]:
    imported = [(config.imported_weight, rows.read(path, Question)) for path in inputs.imported]
    return [*((spec.weight, sources.read(spec)) for spec in config.sources), *imported]


def _publish(inputs: Inputs, kept: list[Question], drops: list[Dropped], n_read: Counter[str]) -> Outputs:
    reasons = Counter(drop.reason for drop in drops)
    if not kept:
        msg = f"questions: none of {n_read.total()} questions is left; dropped: {dict(reasons)}; look at the sources"
        raise NothingToDo(msg)
    rows.write(inputs.output, kept, Question)
    rows.write(inputs.dropped, drops, Dropped)
    sourced = Counter(question.source or "none" for question in kept)
    by_source = {f"n_kept/{_metric(name)}": float(sourced[name]) for name in sorted(n_read)}
    n_all = float(n_read.total() + reasons["own_answer_fails"])
    return Outputs(metrics={"n_read": n_all, "n_kept": float(len(kept)), **by_source}, dropped=reasons)


def _metric(name: str) -> str:
    """The name with what MLflow refuses in metric names replaced."""
    return re.sub(r"[^A-Za-z0-9_ .-]", "_", name)
