"""The papers' scores, to stand beside ours: under the same protocol where the paper states one that is ours, else marked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

STATED = ("samples", "temperature", "top_p", "max_tokens")
"""What a paper has to state before a score counts as measured under our protocol."""
NO_WINDOW = "livecodebench"
"""What an anchor on LiveCodeBench is filed under whose paper states no window."""


class Table(BaseModel):
    """One table of one paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: str
    arxiv: str
    table: str
    protocols: dict[str, dict[str, float]]
    """By benchmark, what the paper states of ``STATED``."""
    models: dict[str, dict[str, float | list[float | None]]]
    """By model and benchmark: percent, or percent by round, null for a round that was not measured."""

    @model_validator(mode="after")
    def _complete(self) -> "Table":
        measured = {name for scores in self.models.values() for name in scores}
        if measured != self.protocols.keys() or any(set(stated) - set(STATED) for stated in self.protocols.values()):
            msg = f"{self.paper}: protocols {sorted(self.protocols)} do not fit the benchmarks {sorted(measured)}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Anchor:
    """One published score. ``other`` says in what its protocol differs from ours; empty where it is ours."""

    model: str
    paper: str
    table: str
    number: int
    percent: float
    other: str


@cache
def tables() -> tuple[Table, ...]:
    """All tables."""
    text = (files("stillhouse.benchmarks") / "anchors.yaml").read_text(encoding="utf-8")
    return tuple(Table.model_validate(each) for each in yaml.safe_load(text))


def anchors(benchmark: str, settings: Mapping[str, Any]) -> list[Anchor]:
    """The published scores on a benchmark, those under our protocol first; ``settings``: ours, with the fields of ``STATED``."""
    found = [anchor for table in tables() for name in (benchmark, NO_WINDOW) for anchor in _of(table, name, benchmark, settings)]
    return sorted(found, key=lambda each: bool(each.other))


def _of(table: Table, name: str, benchmark: str, settings: Mapping[str, Any]) -> Iterator[Anchor]:
    if name not in table.protocols or not benchmark.startswith(name):
        return
    other = _difference(table.protocols[name], settings)
    if name != benchmark:
        other = ", ".join(filter(None, ("window not stated", other)))
    for model, scores in table.models.items():
        given = scores.get(name, [])
        for number, percent in enumerate(given if isinstance(given, list) else [given], start=1):
            if percent is not None:
                yield Anchor(model, table.paper, table.table, number, percent, other)


def _difference(stated: Mapping[str, float], settings: Mapping[str, Any]) -> str:
    """In what a stated protocol differs from ours, or does not say whether it does."""
    # Greedy decoding has no use for top_p.
    wanted = [field for field in STATED if field != "top_p" or stated.get("temperature") != 0]
    differing = [f"{field} {stated[field]:g}" for field in wanted if field in stated and stated[field] != settings[field]]
    silent = [field for field in wanted if field not in stated]
    return ", ".join([*differing, *([f"{', '.join(silent)} not stated"] if silent else [])])
