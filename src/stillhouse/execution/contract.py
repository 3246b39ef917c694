"""The stage contract: what a stage module offers, what it is given, and what it reports.

A stage module has a docstring that begins ``input -> output: what``, a ``Config``, an ``Inputs`` and ``run(config, inputs)``. When
its rows or their meaning change, it raises its ``SCHEMA_VERSION``.

A stage that decides some things over all rows has two more functions, which its shards share: ``map_shard(config, inputs)``
summarises one share of the input, and ``combine(config, inputs)`` decides over all summaries. ``needs_steps(config)`` tells whether
the config needs them, ``STEP_INPUTS`` which inputs each step reads (``map``, ``combine``, ``apply``), and ``BY_FILE`` the inputs of
``map`` that are divided by their files, not by their keys. ``combine_reads(config)`` names further files that ``combine`` reads,
``READS`` the inputs of which one directory alone is read, that of all shards.
``deal(config, inputs)`` reads once, before the maps, what they cannot divide; ``needs_reading(config)`` tells whether it is needed.

A stage that publishes large files early has ``early_files(names)``: of those that earlier attempts left, the ones this node reads.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol

from stillhouse.errors import BadConfig, nearest
from stillhouse.vocabulary.settings import StageConfig
from stillhouse.vocabulary.shards import Shard

if TYPE_CHECKING:
    from stillhouse.artifacts.manifest import Link, ModelLink

Step = Literal["read", "map", "combine", "apply"]
"""The steps of a sharded stage that decides some things over all rows. Every other stage has ``apply`` alone."""
STEPS: tuple[Step, ...] = typing.get_args(Step)
ModelDirectory = Annotated[Path, "model"]
"""An input that takes a model by any reference: an artifact, a directory, ``hf://``, ``models:/``."""


class PinnedConfig(NamedTuple):
    """A config whose models are fixed."""

    config: StageConfig
    """What the stage runs on: its references mean the same models for ever."""
    settings: dict[str, Any]
    """What enters the fingerprint: the models' fingerprints stand in place of their references."""
    models: "dict[str, ModelLink]"
    """The models by the field that names them, such as ``judge.model``."""


class ModelSource(Protocol):
    """Finds the models that inputs and configs name; ``stillhouse.models.resolving`` is one."""

    def pin_input(self, text: str, output: str) -> "ModelLink":
        """Which model the reference means in the run of this output. Raises MissingInput, in one line."""

    def pin_config(self, config: StageConfig, output: str) -> PinnedConfig:
        """The same for all models that the config names."""

    def directory(self, link: "Link") -> Path:
        """A local directory with the model's files, not to be written to."""


def _silent(done: float, total: float, unit: str) -> None:
    """Progress that goes nowhere."""


def _unlogged(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Metrics that go nowhere."""


def _unpublished(path: Path) -> None:
    """A part that is neither published early nor taken back."""


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What every stage is given. A subclass adds its inputs as ``Path``, ``Path | None`` or ``tuple[Path, ...]``."""

    scratch: Path
    """The only directory a stage writes to; the files it leaves in ``output`` below are published."""
    finished: Path | None = None
    """Parts and checkpoints that earlier attempts at the same fingerprint published, checked; not to be written to."""
    left: tuple[str, ...] = ()
    """Names of all files that earlier attempts published, those too that were not fetched to ``finished``."""
    resume: bool = False
    """Fail instead of starting over if no earlier attempt left anything to resume from."""
    shard: Shard = field(default_factory=Shard)
    """The share of the keys this process works on."""
    progress: Callable[[float, float, str], None] = _silent
    """``progress(done, total, unit)`` reports how far the stage is."""
    log: Callable[..., None] = _unlogged
    """``log(metrics, step)`` reports numbers over time."""
    uris: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The URIs of each input, by name: for stages that write about artifacts, not for reading rows."""
    fingerprints: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The fingerprints of each input, by name."""
    run_id: str | None = None
    """The MLflow run of this execution, None if nothing is tracked."""
    publish_part: Callable[[Path], None] = _unpublished
    """Publish one finished file below ``output`` now, so that the next attempt need not make it again."""
    retract_part: Callable[[Path], None] = _unpublished
    """Remove a file that this attempt or an earlier one published; its path is the one below ``output``."""
    dealt: Path | None = None
    """What the read step left for the map of this shard, in ``to-INDEX/``; None if there is nothing to be read once."""
    maps: tuple[Path, ...] = ()
    """What the map step of each shard left: for ``combine`` its ``summary/``, for a shard its ``to-INDEX/`` and own ``own/``."""
    decision: Path | None = None
    """What the combine step left for this shard, in ``to-INDEX/``."""
    listed: Mapping[str, Sequence[Mapping[str, int]]] = field(default_factory=dict)
    """Rows of every part file of each input's artifacts, those of other shards too, by the input's name."""

    @property
    def output(self) -> Path:
        """The directory whose files are published."""
        return self.scratch / "output"

    @property
    def dropped(self) -> Path:
        """Where dropped rows go."""
        return self.output / "dropped"


@dataclass(frozen=True)
class Outputs:
    """What a stage reports about its result; the files lie in ``inputs.output``."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    """Numbers about the result. Counts are named ``n_…``: those of shards add up."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Dropped rows by reason."""
    artifacts: Sequence[str] = ()
    """Small published files (reports, examples) to show in MLflow too, by relative path."""


class Stage(Protocol):
    """A stage module."""

    __name__: str
    __doc__: str | None
    Config: type[StageConfig]
    Inputs: type[StageInputs]
    run: Callable[[Any, Any], Outputs]


def input_names(inputs_type: type[StageInputs]) -> dict[str, str]:
    """The inputs a stage takes: name -> ``one``, ``optional`` or ``many``."""
    own = {field.name for field in dataclasses.fields(inputs_type)} - {field.name for field in dataclasses.fields(StageInputs)}
    hints = typing.get_type_hints(inputs_type)
    kinds = {types.UnionType: "optional", typing.Union: "optional", tuple: "many"}
    return {name: kinds.get(typing.get_origin(hint), "one") for name, hint in hints.items() if name in own}


def model_inputs(inputs_type: type[StageInputs]) -> set[str]:
    """The inputs that take a model by any reference."""
    hints = typing.get_type_hints(inputs_type, include_extras=True)
    return {name for name, hint in hints.items() if ModelDirectory in (hint, *typing.get_args(hint))}


def parse_inputs(inputs: Sequence[str]) -> dict[str, list[str]]:
    """Read ``NAME=URI``, each as often as it is given. Raises BadConfig."""
    named: dict[str, list[str]] = {}
    for item in inputs:
        name, equals, uri = item.partition("=")
        if not (name and equals and uri):
            msg = f"--input {item}: not of the form NAME=URI"
            raise BadConfig(msg)
        named.setdefault(name, []).append(uri)
    return named


def parse_shard(text: str) -> Shard:
    """Read ``3/16``. Raises BadConfig."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        msg = f"--shard {text}: not of the form INDEX/COUNT with 0 <= INDEX < COUNT, such as 3/16"
        raise BadConfig(msg)
    return Shard(int(index), int(count))


def parse_step(text: str | None) -> Step | None:
    """Read ``read``, ``map``, ``combine`` or ``apply``. Raises BadConfig."""
    if text is None:
        return None
    for step in STEPS:
        if step == text:
            return step
    msg = f"--step {text}: no such step; {nearest(text, STEPS, 'steps')}"
    raise BadConfig(msg)
