"""Settings and inputs of ``report`` and ``comparison``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from stillhouse.benchmarks.definitions import bare_name, pinned
from stillhouse.execution.contract import StageInputs
from stillhouse.sampling.config import Sampling
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig


def _published_model(name: str) -> str:
    # The papers' tables are read only if a config names one of their models: trigger forms load this module, not them.
    from stillhouse.benchmarks.published_results import known_model

    return known_model(name)


class ReportConfig(Sampling):
    """What to measure. The sampling defaults are the papers' (temperature 0.6, top_p 0.95, 32,768 tokens)."""

    benchmarks: tuple[Annotated[str, AfterValidator(pinned)], ...] = Field(min_length=1)
    """Benchmarks, by name; the revision is filled in. One that others publish also needs its data: NAME@COMMIT of its data set on
    the hub, or NAME@sha256-DIGEST of NAME.jsonl below STILLHOUSE_BENCHMARKS. One of your own is named by its entry point, or as
    module:attribute."""
    model: str = "candidate"
    """The model's name in the rows; without a checkpoint input, the model itself on the Hugging Face hub."""
    samples: int = Field(4, ge=1)
    """Responses per question; pass@1 is their mean."""
    rounds: int = Field(1, ge=1, le=8)
    """Rounds of thinking: each further round shows the last answer and asks again (Think Twice: 2, up to 4)."""
    verify_timeout_s: float = Field(0.9, gt=0)
    """Seconds one verification may take before its worker is killed."""
    libraries: Libraries = Field("standard", json_schema_extra=OMIT_DEFAULT)
    """What programs of models may import: the standard library, or scientific packages too. Part of the protocol."""

    @field_validator("benchmarks")
    @classmethod
    def _distinct_benchmarks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        bare = [bare_name(name) for name in names]
        if repeated := sorted({name for name in bare if bare.count(name) > 1}):
            msg = f"{', '.join(repeated)} is named more than once; name each benchmark once, in one revision"
            raise ValueError(msg)
        return names


@dataclass(frozen=True, kw_only=True)
class ReportInputs(StageInputs):
    """The checkpoint to measure."""

    checkpoint: Path | None = None


class ComparisonConfig(StageConfig):
    """How to show the reports."""

    labels: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.: -]+$")], ...] = ()
    """Names of the checkpoints, in the order of the reports; empty: the names of their artifacts."""
    beside: dict[str, Annotated[str, AfterValidator(_published_model)]] = Field(default_factory=dict)
    """For a checkpoint's name, the model of a paper that plays its part: the paper's own comparison is shown below ours."""

    @field_validator("labels")
    @classmethod
    def _distinct_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels):
            msg = "labels tell reports apart, got the same one twice; give each report its own"
            raise ValueError(msg)
        return labels


@dataclass(frozen=True, kw_only=True)
class ComparisonInputs(StageInputs):
    """The reports to compare; the first one is the baseline."""

    reports: tuple[Path, ...]
