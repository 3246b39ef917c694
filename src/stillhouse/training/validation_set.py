"""What a training is measured on: a small fixed set of questions, asked and verified as ``report`` does it."""

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from stillhouse.artifacts import tables
from stillhouse.benchmarks import datasets
from stillhouse.benchmarks.definitions import bare_name, definition
from stillhouse.benchmarks.evaluation import evaluate, verify_by
from stillhouse.benchmarks.intervals import pass_at_1
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution import processes
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Engine
from stillhouse.training.config import Validation
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.sft.config import SftConfig
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verifier import LoadedVerifiers, with_libraries
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.rows import Question

INPUT = "validation_questions"
VERIFY_TIMEOUT_S = 0.9
"""Seconds one verification may take in sft, as in `report`; rl has a field for it."""
MODEL = "trained"
"""The model's name in the rows of a measurement."""

LoadEngine = Callable[[Sampling], AbstractContextManager[Engine]]
"""The engine that has the trained weights; all ranks enter and leave together."""


@dataclass(frozen=True)
class ValidationSet:
    """Questions, how they are asked, and how the answers are verified."""

    questions: Sequence[Question]
    benchmark: str | None
    sampling: Sampling
    samples: int
    verify_timeout_s: float
    libraries: Libraries


@dataclass(frozen=True)
class _Share:
    """What one rank measured."""

    outcomes: dict[str, list[bool]]
    """Question id -> whether each sample passed."""
    n_tokens: int
    n_stopped: int
    n_responses: int
    n_unverified: int


def chosen(settings: Validation, artifact: Path | None, seed: int) -> list[Question]:
    """The questions to ask; empty if neither a benchmark nor an artifact is given.

    Raises BadConfig if both are given, or if a rule cannot score the answers; NothingToDo for an empty set, and whatever reading a
    benchmark raises.
    """
    if settings.benchmark is None and artifact is None:
        return []
    if settings.benchmark is not None and artifact is not None:
        msg = f"validation: benchmark {bare_name(settings.benchmark)} and --input {INPUT} are both given; leave out one of them"
        raise BadConfig(msg)
    rows = list(tables.read(artifact, Question)) if artifact else datasets.questions(str(settings.benchmark))
    if not rows:
        msg = f"validation: --input {INPUT} has no question"
        raise NothingToDo(msg)
    _require_scored(settings, rows)
    n = min(settings.questions or len(rows), len(rows))
    if settings.choice == "first":
        return rows[:n]
    numbers = random.Random(f"{seed}/validation").sample(range(len(rows)), n)
    return [rows[number] for number in sorted(numbers)]


def _require_scored(settings: Validation, rows: Iterable[Question]) -> None:
    if settings.benchmark is not None and definition(settings.benchmark).multiple_choice:
        return
    rules = LoadedVerifiers({})
    if unscored := sorted({row.category for row in rows if row.category not in rules}):
        msg = f"validation: no rule scores answers of {', '.join(unscored)}; give a benchmark or questions that a rule scores"
        raise BadConfig(msg)


def require_sense(settings: Validation, questions: Sequence[Question], *, has_rows: bool) -> None:
    """Raise BadConfig if nothing is measured, or not what says which checkpoint is the best one."""
    if not questions and not has_rows:
        msg = f"validation: it measures nothing; set benchmark, or give --input {INPUT}=URI"
        raise BadConfig(msg)
    if settings.by == "pass_at_1" and not questions:
        msg = f"validation: by pass_at_1 needs questions; set benchmark, give --input {INPUT}=URI, or set by to loss"
        raise BadConfig(msg)
    if settings.by == "loss" and not has_rows:
        msg = "validation: by loss needs held-out rows, which sft alone has; set rows, or give --input validation_rows=URI"
        raise BadConfig(msg)


def refuse_trained(ids: Sequence[str], trained: Collection[str], source: str) -> None:
    """Raise BadConfig if a question is trained on too: the measure would say what was learnt by heart."""
    if shared := [question_id for question_id in ids if question_id in trained]:
        msg = (
            f"validation: {len(shared)} of {len(ids)} questions are in {source} too, the first is {shared[0]}; leave them out of "
            "one of the two"
        )
        raise BadConfig(msg)


def made(
    config: SftConfig | RlConfig, questions: Sequence[Question], chat: ChatFormat, model: PreTrainedModel, most: int
) -> ValidationSet:
    """The set as the config asks it, with its prompts. ``most``: tokens of a response if the config says nothing.

    Raises BadConfig if a prompt and its response exceed the model's context.
    """
    settings = config.validation
    assert settings is not None
    sampling = Sampling(
        engine="transformers", temperature=settings.temperature, top_p=settings.top_p, system_prompt=config.system_prompt,
        suffix=config.suffix, suffixes=config.suffixes, seed=config.seed,
    )  # fmt: skip
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or most
    longest = max(len(chat.ids(chat.prompt(sampling.prompt(question)))) for question in questions)
    timeout_s, libraries = (
        (config.verify_timeout_s, config.libraries) if isinstance(config, RlConfig) else (VERIFY_TIMEOUT_S, "standard")
    )
    sampling = sampling.model_copy(update={"max_tokens": _room(settings, longest, most, context)})
    return ValidationSet(questions, settings.benchmark, sampling, settings.samples, timeout_s, libraries)


def _room(settings: Validation, longest: int, most: int, context: int) -> int:
    """Tokens of the longest response; ``longest``: those of the longest prompt."""
    n = settings.max_tokens or min(most, context - longest)
    if n < 1 or longest + n > context:
        msg = (
            f"validation: the longest prompt has {longest} tokens, and with {max(n, 1)} more it exceeds the model's {context}; set "
            "validation.max_tokens lower, or choose other questions"
        )
        raise BadConfig(msg)
    return n


def measure(measured: ValidationSet, load: LoadEngine, share: slice, *, is_counted: bool) -> dict[str, float]:
    """pass@1 with its interval, mean tokens, and the share of responses that ended; all ranks.

    ``share``: the questions that this rank's engine answers. ``is_counted``: whether this rank speaks for its engine.
    Without ``pass_at_1`` if the verifier failed on all responses.
    """
    own = measured.questions[share]
    with VerifierPool(
        measured.verify_timeout_s, processes.share_of_cores(), with_libraries({}, measured.libraries)
    ) as pool, load(measured.sampling) as engine:  # fmt: skip
        pool.begin_warming(question.category for question in own)
        evaluation = evaluate(
            engine, verify_by(measured.benchmark, pool), measured.sampling, MODEL, own, measured.samples, 1, lambda *_: None
        )
    responses, verdicts = evaluation.responses, evaluation.verified
    counted = _Share(
        evaluation.outcomes(1), sum(row.completion_tokens for row in responses),
        sum(row.finish_reason == "stop" for row in responses), len(responses), sum(row.passed is None for row in verdicts),
    )  # fmt: skip
    return _over_replicas(measured, [share for share in processes.gathered(counted if is_counted else None) if share])


def _over_replicas(measured: ValidationSet, shares: Sequence[_Share]) -> dict[str, float]:
    outcomes = {key: samples for share in shares for key, samples in share.outcomes.items()}
    n = max(sum(share.n_responses for share in shares), 1)
    metrics = {
        "tokens": sum(share.n_tokens for share in shares) / n, "stop_ratio": sum(share.n_stopped for share in shares) / n,
        "n_unverified": float(sum(share.n_unverified for share in shares)),
    }  # fmt: skip
    ordered = [outcomes[question.question_id] for question in measured.questions if question.question_id in outcomes]
    if not ordered:
        return metrics
    interval = pass_at_1(ordered)
    return {"pass_at_1": interval.mean, "low": interval.low, "high": interval.high} | metrics
