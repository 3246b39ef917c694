"""The papers' numbers, to stand beside ours: under the same protocol where the paper states one that is ours, else marked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from stillhouse.errors import nearest

STATED = ("samples", "temperature", "top_p", "max_tokens")
"""What a paper has to state before a score counts as measured under our protocol."""
NO_WINDOW = "livecodebench"
"""What an anchor on LiveCodeBench is filed under whose paper states no window."""

Trajectory = Literal["all", "C-C", "C-I", "I-C", "I-I"]
Quantity = Literal["tokens", "but", "wait", "maybe", "therefore"]
"""As ``rounds`` counts them."""
Value = float | list[float | None]
Pair = tuple[float, float]
"""In the round before, and in this one."""


class Table(BaseModel):
    """One table of one paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: str
    arxiv: str
    table: str
    unstated: str = ""
    """What besides ``STATED`` it does not say and would have to."""
    protocols: dict[str, dict[str, float]]
    """By benchmark, what the paper states of ``STATED``."""
    models: dict[str, dict[str, Value]] = Field(default_factory=dict)
    """By model and benchmark: percent, or percent by round, null for a round that was not measured."""
    lengths: dict[str, dict[str, Value]] = Field(default_factory=dict)
    """By model and benchmark: mean tokens of a response, or by round."""
    steps: dict[str, dict[str, dict[int, dict[Trajectory, dict[Quantity, Pair]]]]] = Field(default_factory=dict)
    """By model, benchmark, round and trajectory: tokens of a response, and words by name."""

    @model_validator(mode="after")
    def _complete(self) -> "Table":
        parts: tuple[Mapping[str, Mapping[str, Any]], ...] = (self.models, self.lengths, self.steps)
        measured = {name for part in parts for scores in part.values() for name in scores}
        if measured != self.protocols.keys() or any(set(stated) - set(STATED) for stated in self.protocols.values()):
            msg = f"{self.paper}: protocols {sorted(self.protocols)} do not fit the benchmarks {sorted(measured)}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class Source:
    """Whose model, and in which paper. ``other`` says in what its protocol differs from ours; empty where it is ours."""

    model: str
    paper: str
    table: str
    other: str


@dataclass(frozen=True, kw_only=True)
class Anchor(Source):
    """One published score, and the mean tokens of a response where they are published too."""

    number: int
    percent: float
    tokens: float | None


@dataclass(frozen=True, kw_only=True)
class StepAnchor(Source):
    """What was published of one trajectory in a round and the one before: see ``rounds.Group``."""

    number: int
    group: str
    tokens: Pair | None = None
    words: Mapping[str, Pair] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A paper's comparison of models that stand for checkpoints of ours, in our order."""

    table: Table
    scores: Mapping[str, tuple[str, Mapping[str, float]]]
    """By our name for the checkpoint: the paper's for the model, and its scores by benchmark, in the first round."""

    @property
    def benchmarks(self) -> list[str]:
        """Those that any of the models was measured on."""
        return [name for name in self.table.protocols if any(name in percent for _, percent in self.scores.values())]


@cache
def tables() -> tuple[Table, ...]:
    """All tables."""
    text = (files("stillhouse.benchmarks") / "anchors.yaml").read_text(encoding="utf-8")
    return tuple(Table.model_validate(each) for each in yaml.safe_load(text))


def anchors(benchmark: str, settings: Mapping[str, Any]) -> list[Anchor]:
    """The published scores on a benchmark, those under our protocol first; ``settings``: ours, with the fields of ``STATED``."""
    found = []
    for table, name, other in _measured(benchmark, settings):
        for model, scores in table.models.items():
            lengths = dict(_by_round(table.lengths.get(model, {}).get(name)))
            found += [
                Anchor(
                    model=model, paper=table.paper, table=table.table, other=other, number=number, percent=percent,
                    tokens=lengths.get(number),
                )
                for number, percent in _by_round(scores.get(name))
            ]  # fmt: skip
    return sorted(found, key=lambda each: bool(each.other))


def step_anchors(benchmark: str, settings: Mapping[str, Any]) -> list[StepAnchor]:
    """What was published on a benchmark from round to round: lengths and words, of all chains and by trajectory."""
    found = []
    for table, name, other in _measured(benchmark, settings):
        made = partial(StepAnchor, paper=table.paper, table=table.table, other=other)
        for model, given in table.lengths.items():
            for (_, before), (number, after) in pairwise(_by_round(given.get(name))):
                found.append(made(model=model, number=number, group="all", tokens=(before, after)))
        for model, rounds in table.steps.items():
            for number, groups in rounds.get(name, {}).items():
                for group, pairs in groups.items():
                    words: dict[str, Pair] = {word: pair for word, pair in pairs.items() if word != "tokens"}
                    found.append(made(model=model, number=number, group=group, tokens=pairs.get("tokens"), words=words))
    return found


def known_model(name: str) -> str:
    """A model of any table. Raises ValueError with the nearest name on a typo."""
    known = sorted({model for table in tables() for model in table.models})
    if name not in known:
        msg = f"no paper measured a model {name!r}; {nearest(name, known, 'models')}"
        raise ValueError(msg)
    return name


def published(models: Mapping[str, str]) -> list[Published]:
    """Every table that compares at least two of the models, given by our names for their counterparts."""
    found = []
    for table in tables():
        there = {label: model for label, model in models.items() if model in table.models}
        if len(there) > 1:
            firsts = {
                label: (model, {name: _by_round(value)[0][1] for name, value in table.models[model].items()})
                for label, model in there.items()
            }
            found.append(Published(table, firsts))
    return found


def _measured(benchmark: str, settings: Mapping[str, Any]) -> Iterator[tuple[Table, str, str]]:
    """The tables with the benchmark, its name in them, and in what their protocol differs."""
    for table in tables():
        for name in (benchmark, NO_WINDOW):
            if name in table.protocols and benchmark.startswith(name):
                reasons = ["window not stated" if name != benchmark else "", _difference(table.protocols[name], settings)]
                unstated = f"{table.unstated} not stated" if table.unstated else ""
                yield table, name, ", ".join(filter(None, (*reasons, unstated)))


def _by_round(given: Value | None) -> list[tuple[int, float]]:
    """Round and value of those that were measured."""
    values = given if isinstance(given, list) else [given]
    return [(number, value) for number, value in enumerate(values, start=1) if value is not None]


def _difference(stated: Mapping[str, float], settings: Mapping[str, Any]) -> str:
    """In what a stated protocol differs from ours, or does not say whether it does."""
    # Greedy decoding has no use for top_p.
    wanted = [field for field in STATED if field != "top_p" or stated.get("temperature") != 0]
    differing = [f"{field} {stated[field]:g}" for field in wanted if field in stated and stated[field] != settings[field]]
    silent = [field for field in wanted if field not in stated]
    return ", ".join([*differing, *([f"{', '.join(silent)} not stated"] if silent else [])])
