"""The protocol of a score: all it depends on but the model and the machine. Scores under different ids do not compare."""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from stillhouse.benchmarks import multiple_choice
from stillhouse.benchmarks.config import ReportConfig
from stillhouse.benchmarks.definitions import definition
from stillhouse.benchmarks.outcomes import EvaluationProtocol
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.openai import releases
from stillhouse.sampling.rounds import ask
from stillhouse.verification import scoring
from stillhouse.vocabulary.ids import content_id, prompt_text
from stillhouse.vocabulary.rows import Question

VERIFIED_BY = {"math": "math-verify", "instruction_following": "if-verifiable"}
"""By category, the package whose version can change verdicts."""


def protocol(config: ReportConfig, benchmark: str, questions: Sequence[Question]) -> EvaluationProtocol:
    """The protocol of one benchmark in a report. The number of rounds is left out: a round does not depend on later ones."""
    return EvaluationProtocol(
        benchmark=benchmark, samples=config.samples, sampling=config.model_dump(mode="json", include=set(Sampling.model_fields)),
        prompts=_prompts(config, questions), verifier=_verifier(config, benchmark, questions), engine=_engine(config),
    )  # fmt: skip


def _prompts(config: ReportConfig, questions: Sequence[Question]) -> str:
    """A digest of the prompts' words, since an edited template keeps its name."""
    further = [ask(config, config.model, question, 2, 0, "", lambda *_: 0).messages for question in questions[:1]]
    return content_id(*map(prompt_text, [*map(config.prompt, questions), *further]))


def _engine(config: ReportConfig) -> str:
    """The engine and its version; for a served model, the version its server reports."""
    if config.engine != "openai":
        return _with_version(config.engine)
    return ", ".join([config.engine, *releases(config.model)])


def _verifier(config: ReportConfig, benchmark: str, questions: Sequence[Question]) -> str:
    if definition(benchmark).multiple_choice:
        return multiple_choice.VERSION
    categories = {question.category for question in questions}
    packages = sorted({VERIFIED_BY[category] for category in categories if category in VERIFIED_BY})
    # Tolerances, units and order of math questions: the same answers score otherwise under others.
    constrained = [question for question in questions if question.category == "math" and question.constraints]
    rules = sorted({f"{question.question_id} {question.constraints}" for question in constrained})
    compared = [f"answer rules {content_id(*rules)[:12]}"] if rules else []
    python = [f"python {sys.version_info.major}.{sys.version_info.minor}"] if "code" in categories else []
    if python and config.libraries != "standard":
        python.append(f"{config.libraries} libraries")
    return ", ".join([f"verified {scoring.VERSION}", *map(_with_version, packages), *python, *compared])


def _with_version(package: str) -> str:
    """``vllm 0.32.0``; the name alone if the package is not installed."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
