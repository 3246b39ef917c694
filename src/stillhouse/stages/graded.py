"""questions + verified -> graded: how hard each question is, by the pass rates of the models that answered it."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from stillhouse import grading, rows
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.grading import PassRateKind, PassThresholds, SolvedShares
from stillhouse.rows import Dropped, Graded, ModelGrade, Question, Verified
from stillhouse.stage import Outputs, StageConfig, StageInputs


class Config(StageConfig):
    """Whose pass rates decide the level, and how they are counted."""

    small: str
    """Model in the role of R1-Distill-1.5B: the one to be trained, or like it."""
    medium: str
    """Model in the role of R1-Distill-7B."""
    reference: str | None = None
    """Model in the role of R1-Distill-32B: what it fails is level 3."""
    strongest: str | None = None
    """Model in the role of DeepSeek-R1: what it never solves is discarded."""
    ddof: int = Field(1, ge=0, le=1)
    """1: the deviation of the paper's worked examples (DeepDistill §3); 0: its printed formula."""
    pass_rate_kind: PassRateKind = "indicator"
    """indicator: share of responses that pass (DeepDistill §2.4.2); mean_score: mean verify score (its dataset card)."""
    pass_thresholds: PassThresholds = PassThresholds()
    """Verify scores above which a response passes, by category."""
    solved_share: SolvedShares = SolvedShares()
    """Share of the questions the reference solves that stay in level 3."""
    seed: int = 0
    """Decides which of those stay."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Questions, and the verdicts on all models' responses."""

    questions: Path
    verified: Path


def run(config: Config, inputs: Inputs) -> Outputs:
    """Grade every question that has a verdict. Raises BadConfig for a model without verdicts, NothingToDo without any."""
    scores = _scores(config, inputs.verified)
    made: list[Graded] = []
    drops: list[Dropped] = []
    for question in rows.read(inputs.questions, Question):
        if not inputs.shard.holds(question.question_id):
            continue
        if question.question_id in scores:
            made.append(_grade(config, question, scores[question.question_id]))
        else:
            drops.append(rows.dropped(question, "no_verdict"))
    if not made:
        msg = f"graded: none of {len(drops)} questions has a verdict; are verified and questions of the same run?"
        raise NothingToDo(msg)
    rows.write(inputs.output, made, Graded)
    rows.write(inputs.dropped, drops, Dropped)
    inputs.progress(len(made), len(made), "questions")
    return Outputs(metrics=_metrics(made), dropped=Counter(drop.reason for drop in drops))


def _scores(config: Config, directory: Path) -> dict[str, dict[str, list[float]]]:
    """Question -> model -> scores of its first-round responses; where the verifier failed there is none."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    models: set[str] = set()
    for row in rows.read(directory, Verified):
        if row.verify_score is not None and row.prompt_kind == "question":
            scores[row.question_id][row.model].append(row.verify_score)
            models.add(row.model)
    for role in ("small", "medium", "reference", "strongest"):
        name = getattr(config, role)
        if models and name is not None and name not in models:
            msg = f"graded: {role}={name!r}, but no verdict is on a model of that name; models: {', '.join(sorted(models))}"
            raise BadConfig(msg)
    return scores


def _grade(config: Config, question: Question, scores: Mapping[str, Sequence[float]]) -> Graded:
    category, top = question.category, grading.scale(question.category)
    threshold: float = getattr(config.pass_thresholds, category)
    grades = [grading.grade(model, scores[model], threshold, config.ddof, config.pass_rate_kind, top) for model in sorted(scores)]
    rates = {each["model"]: each["pass_rate"] for each in grades}
    if config.strongest is not None and rates.get(config.strongest) == 0:
        return Graded(question.question_id, category, grades, None, "never_solved")
    share: float = getattr(config.solved_share, category, config.solved_share.other)
    keep_solved = random.Random(f"{config.seed}/level/{question.question_id}").random() < share
    roles = {role: rates.get(getattr(config, role) or "") for role in ("small", "medium", "reference")}
    return Graded(question.question_id, category, grades, grading.level(roles, keep_solved))


def _metrics(made: Sequence[Graded]) -> dict[str, float]:
    """Levels, the histogram of pass rates and the mean CV by model."""
    levels = Counter("n_never_solved" if row.discard_reason else f"n_level_{row.level or 'none'}" for row in made)
    metrics = {name: float(levels[name]) for name in ("n_level_1", "n_level_2", "n_level_3", "n_level_none", "n_never_solved")}
    by_model: dict[str, list[ModelGrade]] = defaultdict(list)
    for each in (grade for row in made for grade in row.models):
        by_model[each["model"]].append(each)
    for model, grades in sorted(by_model.items()):
        bins = grading.histogram([each["pass_rate"] for each in grades])
        metrics |= {f"n_pass_rate/{model}/{name}": float(count) for name, count in bins.items()}
        metrics[f"pass_rate/{model}"] = sum(each["pass_rate"] for each in grades) / len(grades)
        spreads = [each["cv"] for each in grades if each["cv"] is not None]
        if spreads:
            metrics[f"cv/{model}"] = sum(spreads) / len(spreads)
    return metrics
