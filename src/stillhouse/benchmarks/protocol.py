"""How a score was measured, and the id of it: scores under different ids do not compare."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from stillhouse.benchmarks import choices, definition
from stillhouse.identity import content_id
from stillhouse.rows import Question
from stillhouse.sampling.engine import Sampling
from stillhouse.stage import StageConfig
from stillhouse.verification import scoring

if TYPE_CHECKING:
    from stillhouse.stages.report import Config

VERIFIED_BY = {"math": "math-verify", "instruction_following": "if-verifiable"}
"""Packages whose version decides about verdicts, by category."""


class Protocol(StageConfig):
    """Everything but the model and the machine that a score depends on."""

    benchmark: str
    """Name, revision and data; a window of dates is part of the name."""
    samples: int
    """Responses to a question."""
    sampling: dict[str, Any]
    """Temperature, top_p, longest response, prompts, seed."""
    verifier: str
    """What judged the answers, with its version."""
    engine: str
    """What ran the model, with its version."""

    @property
    def id(self) -> str:
        """Sixteen hex digits."""
        return content_id(self.model_dump_json())


def protocol(config: "Config", benchmark: str, asked: Sequence[Question]) -> Protocol:
    """The protocol of a report's ``benchmark``. The number of rounds is no part of it: round n does not depend on later ones."""
    return Protocol(
        benchmark=benchmark, samples=config.samples, sampling=config.model_dump(mode="json", include=set(Sampling.model_fields)),
        verifier=_verifier(benchmark, asked), engine=_with_version(config.engine),
    )  # fmt: skip


def _verifier(benchmark: str, asked: Sequence[Question]) -> str:
    if definition(benchmark).multiple_choice:
        return choices.VERSION
    packages = sorted({VERIFIED_BY[each.category] for each in asked if each.category in VERIFIED_BY})
    return ", ".join([f"verified {scoring.VERSION}", *map(_with_version, packages)])


def _with_version(package: str) -> str:
    """``vllm 0.32.0``; the name alone of what runs elsewhere."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
