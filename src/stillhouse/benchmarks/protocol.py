"""How a score was measured, and the id of it: scores under different ids do not compare."""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from stillhouse.benchmarks import definition, multiple_choice
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.rounds import ask
from stillhouse.verification import scoring
from stillhouse.vocabulary.ids import content_id, prompt_text
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.settings import StageConfig

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
    """Temperature, top_p, longest response, seed, and the prompts by name."""
    prompts: str
    """Digest of all that is said to the model: of questions and templates, and of how a further round shows the last answer."""
    verifier: str
    """What judged the answers, with its version."""
    engine: str
    """What ran the model, with its version."""

    @property
    def id(self) -> str:
        """Sixteen hex digits. Names of prompts are not in it: ``prompts`` has their words, of the categories that are asked."""
        return content_id(self.model_dump_json(exclude={"sampling": {"system_prompt", "suffix", "suffixes"}}))


def protocol(config: "Config", benchmark: str, asked: Sequence[Question]) -> Protocol:
    """The protocol of a report's ``benchmark``. The number of rounds is no part of it: round n does not depend on later ones."""
    return Protocol(
        benchmark=benchmark, samples=config.samples, sampling=config.model_dump(mode="json", include=set(Sampling.model_fields)),
        prompts=_prompts(config, asked), verifier=_verifier(benchmark, asked), engine=_engine(config),
    )  # fmt: skip


def _prompts(config: "Config", asked: Sequence[Question]) -> str:
    """By their words: a template that was edited keeps its name."""
    further = [ask(config, config.model, question, 2, 0, "", lambda *_: 0).messages for question in asked[:1]]
    return content_id(*map(prompt_text, [*map(config.prompt, asked), *further]))


def _engine(config: "Config") -> str:
    """With its version; of a served model the server's, where it says."""
    if config.engine != "openai":
        return _with_version(config.engine)
    from stillhouse.sampling.openai import releases

    return ", ".join([config.engine, *releases(config.model)])


def _verifier(benchmark: str, asked: Sequence[Question]) -> str:
    if definition(benchmark).multiple_choice:
        return multiple_choice.VERSION
    packages = sorted({VERIFIED_BY[each.category] for each in asked if each.category in VERIFIED_BY})
    python = [f"python {sys.version_info.major}.{sys.version_info.minor}"] if any(each.category == "code" for each in asked) else []
    return ", ".join([f"verified {scoring.VERSION}", *map(_with_version, packages), *python])


def _with_version(package: str) -> str:
    """``vllm 0.32.0``; the name alone of what is not installed."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
