"""The specs of the sources of questions: one class per kind, told apart by ``kind``."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from stillhouse.execution import extensions
from stillhouse.sources.stored import FileSource, HuggingFace, Preset, Release, SourceSpec

READERS: dict[str, str] = {
    "arithmetic": "stillhouse.sources.arithmetic:questions",
    "reasoning_gym": "stillhouse.sources.reasoning_gym:questions",
    "worded": "stillhouse.sources.worded:questions",
    "file": "stillhouse.sources.file:questions",
    "am-1.4m": "stillhouse.sources.release:questions",
    "am-40m": "stillhouse.sources.release:questions",
    "conversations": "stillhouse.sources.release:questions",
    "huggingface": "stillhouse.sources.huggingface:questions",
    "preset": "stillhouse.sources.published:questions",
    "human_eval": "stillhouse.sources.human_eval:questions",
}
"""Built-in kind of source -> its reader, imported on first use: each needs a library of its own."""
MAX_DIGITS = 9
LARGEST_RESULT = 100
"""No step of a word problem has a larger result."""

Generator = Literal["gsm_symbolic", "basic_arithmetic", "chain_sum", "simple_equations"]
"""Generators of reasoning-gym whose own answers were checked. Some others score nonsense 1.0, or their own answer 0."""


class GeneratedSpec(SourceSpec):
    """A source that generates its questions."""

    count: int = Field(gt=0)
    """How many questions to generate."""
    seed: int = 0
    """Decides which questions; equal seeds give equal questions."""
    license: str = "CC0-1.0 (generated)"
    """Written to the rows' ``license`` column."""


class Arithmetic(GeneratedSpec):
    """Arithmetic questions with traces that can be made to err."""

    kind: Literal["arithmetic"] = "arithmetic"
    families: dict[str, float] = Field(min_length=1)
    """Weight of each family: add-N, sub-N or mul-N, where N is the number of digits (1 to 9)."""
    slip_rate: float = Field(0, ge=0, le=1)
    """Probability that a step of a trace is off by one, as an unreliable author's would be; later steps build on the slip."""
    reanswer_share: float = Field(0, ge=0, le=1)
    """Share of questions that show a previous answer, right or wrong with equal probability, and ask again (Think Twice §2)."""
    summary_share: float = Field(0, ge=0, le=1)
    """Share of rows that show a trace and are answered by the results of its steps alone: training data for a small summariser."""
    distinct: bool = False
    """Never ask the same question twice. Small families run out: add-1 has 81 questions, sub-1 45, mul-1 72."""

    @field_validator("families")
    @classmethod
    def _known(cls, families: dict[str, float]) -> dict[str, float]:
        for name, weight in families.items():
            if not re.fullmatch(r"(add|sub|mul)-([1-9])", name):
                msg = f"{name}: no such family; use add-N, sub-N or mul-N with N digits, 1 to {MAX_DIGITS}"
                raise ValueError(msg)
            if weight <= 0:
                msg = f"{name}: a weight must be greater than 0, got {weight:g}"
                raise ValueError(msg)
        return families


class ReasoningGym(GeneratedSpec):
    """One generator of reasoning-gym."""

    kind: Literal["reasoning_gym"] = "reasoning_gym"
    dataset: Generator
    """The generator."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The generator's own settings. gsm_symbolic accepts none: it refuses any difficulty but 1."""
    max_steps: int | None = Field(None, ge=1)
    """Take only problems whose gold chain of thought has at most this many steps. Needs gsm_symbolic."""
    distinct: bool = False
    """Skip questions that were asked before."""
    license: str = "Apache-2.0 (generated)"
    """Written to the rows' ``license`` column."""


class Worded(GeneratedSpec):
    """Word problems of one or two steps, with traces."""

    kind: Literal["worded"] = "worded"
    two_step_share: float = Field(0.5, ge=0, le=1)
    """Share of problems that take two steps; the others take one."""
    largest: int = Field(20, ge=10, le=LARGEST_RESULT)
    """Largest number in a problem; factors are 9 at most."""
    distinct: bool = False
    """Never ask the same question twice."""


class HumanEval(SourceSpec):
    """The problems of HumanEval, from the package ``human-eval``."""

    kind: Literal["human_eval"] = "human_eval"
    version: str = "1.0.3"
    """The package's version; the installed one must be equal."""
    count: int | None = Field(None, gt=0)
    """Take only the first ``count`` problems; null takes all 164."""
    license: str = "MIT"
    """Written to the rows' ``license`` column."""


class ExtensionSource(SourceSpec):
    """A source of your own: an entry point of the group ``stillhouse.sources``, or ``module:attribute``."""

    kind: str
    """Name of the entry point, or ``module:attribute``; its version is filled in, so that a new version makes new questions."""
    count: int | None = Field(None, gt=0)
    """Take only the first ``count`` questions; null takes all."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Passed on to the source."""

    @field_validator("kind")
    @classmethod
    def _pinned(cls, kind: str) -> str:
        return extensions.pinned("sources", kind, READERS)


def _tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    if not isinstance(kind, str):
        return None
    if kind in {"am-1.4m", "am-40m", "conversations"}:
        return "release"
    return kind if kind in READERS else "extension"


Spec = Annotated[
    Annotated[Arithmetic, Tag("arithmetic")]
    | Annotated[ReasoningGym, Tag("reasoning_gym")]
    | Annotated[Worded, Tag("worded")]
    | Annotated[FileSource, Tag("file")]
    | Annotated[Release, Tag("release")]
    | Annotated[HuggingFace, Tag("huggingface")]
    | Annotated[Preset, Tag("preset")]
    | Annotated[HumanEval, Tag("human_eval")]
    | Annotated[ExtensionSource, Tag("extension")],
    Discriminator(
        _tag,
        custom_error_type="source_kind",
        custom_error_message=f"a source needs a kind: {', '.join(READERS)}, an entry point, or module:attribute",
    ),
]
"""A source in a config: a mapping whose ``kind`` names its reader."""
