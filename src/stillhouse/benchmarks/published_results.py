"""Published results: the papers' scores, to be shown beside ours.

A result counts as measured under our protocol only if the paper states its whole protocol, equal to ours; all others are marked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from stillhouse.errors import nearest

STATED = ("samples", "temperature", "top_p", "max_tokens")
"""What a paper must state before its score counts as measured under our protocol."""
NO_WINDOW = "livecodebench"
"""The benchmark's name in tables of papers that do not state LiveCodeBench's window."""

Trajectory = Literal["all", "C-C", "C-I", "I-C", "I-I"]
Quantity = Literal["tokens", "but", "wait", "maybe", "therefore"]
"""As ``trajectories`` counts them."""
Value = float | list[float | None]
Pair = tuple[float, float]
"""Means in the round before, and in this one."""


class PublishedTable(BaseModel):
    """One table of one paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: str
    arxiv: str
    table: str
    unstated: str = ""
    """What else the paper would have to state to be comparable, and does not."""
    protocols: dict[str, dict[str, float]]
    """By benchmark, the values of ``STATED`` that the paper gives."""
    models: dict[str, dict[str, Value]] = Field(default_factory=dict)
    """By model and benchmark: percent, or percent by round; null for a round that was not measured."""
    lengths: dict[str, dict[str, Value]] = Field(default_factory=dict)
    """By model and benchmark: mean tokens of a response, or one mean per round."""
    steps: dict[str, dict[str, dict[int, dict[Trajectory, dict[Quantity, Pair]]]]] = Field(default_factory=dict)
    """By model, benchmark, round and trajectory: tokens of a response, and words by name."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        parts: tuple[Mapping[str, Mapping[str, Any]], ...] = (self.models, self.lengths, self.steps)
        measured = {name for part in parts for scores in part.values() for name in scores}
        if measured != self.protocols.keys() or any(set(stated) - set(STATED) for stated in self.protocols.values()):
            msg = f"{self.paper}: protocols {sorted(self.protocols)} do not fit the benchmarks {sorted(measured)}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class PublishedResult:
    """A model in a paper. ``other`` says how its protocol differs from ours; it is empty if they are equal."""

    model: str
    paper: str
    table: str
    other: str


@dataclass(frozen=True, kw_only=True)
class PublishedScore(PublishedResult):
    """One published score, with the mean tokens of a response if the paper gives them."""

    number: int
    percent: float
    tokens: float | None


@dataclass(frozen=True, kw_only=True)
class PublishedStep(PublishedResult):
    """Published means of one trajectory, in a round and the one before: see ``trajectories.TrajectoryGroup``."""

    number: int
    group: str
    tokens: Pair | None = None
    words: Mapping[str, Pair] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedComparison:
    """A paper's comparison of models that stand for checkpoints of ours, in our order."""

    table: PublishedTable
    scores: Mapping[str, tuple[str, Mapping[str, float]]]
    """By our checkpoint's name: the paper's name for the model, and its first-round scores by benchmark."""

    @property
    def benchmarks(self) -> list[str]:
        """The benchmarks that at least one of the models was measured on."""
        return [name for name in self.table.protocols if any(name in percent for _, percent in self.scores.values())]


@cache
def tables() -> tuple[PublishedTable, ...]:
    """All published tables."""
    text = (files("stillhouse.benchmarks") / "published_results.yaml").read_text(encoding="utf-8")
    return tuple(PublishedTable.model_validate(table) for table in yaml.safe_load(text))


def published_scores(benchmark: str, settings: Mapping[str, Any]) -> list[PublishedScore]:
    """The published scores on a benchmark, those under our protocol first; ``settings``: our values of the fields in ``STATED``."""
    scores = []
    for table, name, other in _measured(benchmark, settings):
        for model, by_benchmark in table.models.items():
            lengths = dict(_by_round(table.lengths.get(model, {}).get(name)))
            scores += [
                PublishedScore(
                    model=model, paper=table.paper, table=table.table, other=other, number=number, percent=percent,
                    tokens=lengths.get(number),
                )
                for number, percent in _by_round(by_benchmark.get(name))
            ]  # fmt: skip
    return sorted(scores, key=lambda score: bool(score.other))


def published_steps(benchmark: str, settings: Mapping[str, Any]) -> list[PublishedStep]:
    """Published lengths and words on a benchmark from round to round, over all chains and by trajectory."""
    steps = []
    for table, name, other in _measured(benchmark, settings):
        result = partial(PublishedStep, paper=table.paper, table=table.table, other=other)
        for model, lengths in table.lengths.items():
            for (_, before), (number, after) in pairwise(_by_round(lengths.get(name))):
                steps.append(result(model=model, number=number, group="all", tokens=(before, after)))
        for model, rounds in table.steps.items():
            for number, groups in rounds.get(name, {}).items():
                for group, pairs in groups.items():
                    words: dict[str, Pair] = {word: pair for word, pair in pairs.items() if word != "tokens"}
                    steps.append(result(model=model, number=number, group=group, tokens=pairs.get("tokens"), words=words))
    return steps


def known_model(name: str) -> str:
    """The name, if any table has a model of that name. Raises ValueError with the nearest name if none has."""
    known = sorted({model for table in tables() for model in table.models})
    if name not in known:
        msg = f"no paper measured a model {name!r}; {nearest(name, known, 'models')}"
        raise ValueError(msg)
    return name


def published_comparisons(models: Mapping[str, str]) -> list[PublishedComparison]:
    """Every table that compares at least two of the models; ``models``: by our checkpoints' names, the papers' models."""
    comparisons = []
    for table in tables():
        compared = {label: model for label, model in models.items() if model in table.models}
        if len(compared) > 1:
            first_round = {
                label: (model, {name: _by_round(value)[0][1] for name, value in table.models[model].items()})
                for label, model in compared.items()
            }
            comparisons.append(PublishedComparison(table, first_round))
    return comparisons


def _measured(benchmark: str, settings: Mapping[str, Any]) -> Iterator[tuple[PublishedTable, str, str]]:
    """The tables that have the benchmark, its name in them, and how their protocol differs from ours."""
    for table in tables():
        for name in (benchmark, NO_WINDOW):
            if name in table.protocols and benchmark.startswith(name):
                reasons = ["window not stated" if name != benchmark else "", _difference(table.protocols[name], settings)]
                unstated = f"{table.unstated} not stated" if table.unstated else ""
                yield table, name, ", ".join(filter(None, (*reasons, unstated)))


def _by_round(value: Value | None) -> list[tuple[int, float]]:
    """Round and value, of the rounds that were measured."""
    values = value if isinstance(value, list) else [value]
    return [(number, percent) for number, percent in enumerate(values, start=1) if percent is not None]


def _difference(stated: Mapping[str, float], settings: Mapping[str, Any]) -> str:
    """How a stated protocol differs from ours, and what it does not state."""
    # Greedy decoding ignores top_p.
    wanted = [field for field in STATED if field != "top_p" or stated.get("temperature") != 0]
    differing = [f"{field} {stated[field]:g}" for field in wanted if field in stated and stated[field] != settings[field]]
    unstated = [field for field in wanted if field not in stated]
    return ", ".join([*differing, *([f"{', '.join(unstated)} not stated"] if unstated else [])])
