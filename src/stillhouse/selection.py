"""Algorithm 1 of DeepDistill (§3) and its annealing selection: which responses a model learns from. Pure functions."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from stillhouse.grading import CvThresholds, PassThresholds, coefficient_of_variation, pass_rate, scale
from stillhouse.stage import StageConfig

EASY_KEPT = ("multi_turn", "other")
"""Categories whose easy questions stay with a probability; those of all others are dropped."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One response that may be chosen, by its place in the caller's list, and its verify score."""

    place: int
    score: float


class Rules(StageConfig):
    """What Algorithm 1 and the annealing selection are run with."""

    pass_thresholds: PassThresholds = PassThresholds()
    """Verify scores above which a response passes, by category."""
    cv_thresholds: CvThresholds = CvThresholds()
    """CV above which a question is challenging, by category."""
    ddof: int = Field(1, ge=0, le=1)
    """1: the deviation of the paper's worked examples (DeepDistill §3); 0: its printed formula."""
    easy_keep_probability: float = Field(0.5, ge=0, le=1)
    """Probability of an easy multi_turn or other question to stay; easy ones of other categories are dropped."""
    anneal_threshold: float = Field(0.99, ge=0, lt=1)
    """Score, over its scale's top, above which a response may be chosen for annealing."""
    anneal_questions: int | None = Field(None, ge=1)
    """Questions of the highest CV to take for annealing (DeepDistill: nearly 200,000); null takes all challenging ones."""
    seed: int = 0
    """Decides which easy questions stay, and which response of a question is annealed on."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen of one question's responses. ``reason`` says why nothing is; ``challenging``: CV above its threshold."""

    category: str
    chosen: tuple[Scored, ...]
    cv: float | None
    pass_rate: float
    challenging: bool = False
    reason: str | None = None


def stage_1(question_id: str, category: str, scored: Sequence[Scored], rules: Rules) -> Choice:
    """Algorithm 1 for one question with at least one scored response.

    Dropped: ``below_threshold`` (no response passes), ``easy`` (the scores vary too little), ``cv_undefined`` (too few responses to
    say). A challenging question keeps its passing responses. So does an easy one that stays: the paper leaves that open.
    """
    scores = [each.score for each in scored]
    threshold: float = getattr(rules.pass_thresholds, category)
    cv, rate = coefficient_of_variation(scores, rules.ddof), pass_rate(scores, threshold)
    passing = tuple(each for each in scored if each.score > threshold)
    if not passing:
        return Choice(category, (), cv, rate, reason="below_threshold")
    if cv is None:
        return Choice(category, (), cv, rate, reason="cv_undefined")
    if cv > getattr(rules.cv_thresholds, category):
        return Choice(category, passing, cv, rate, challenging=True)
    draw = random.Random(f"{rules.seed}/easy/{question_id}").random()
    if category in EASY_KEPT and draw < rules.easy_keep_probability:
        return Choice(category, passing, cv, rate)
    return Choice(category, (), cv, rate, reason="easy")


def annealing(choices: Mapping[str, Choice], rules: Rules) -> dict[str, Choice]:
    """Question -> its choice for the annealing stage (§3.2): the highest CVs first, one random response to a question.

    Only challenging questions with a response whose score over its scale's top is above the rules' threshold. Equal CVs, which
    binary scores have all the time, are put in a seeded order.
    """
    best: dict[str, Choice] = {}
    for question_id, choice in choices.items():
        good = [each for each in choice.chosen if each.score / scale(choice.category) > rules.anneal_threshold]
        if choice.challenging and good:
            one = random.Random(f"{rules.seed}/anneal/{question_id}").choice(good)
            best[question_id] = replace(choice, chosen=(one,))
    ordered = sorted(best, key=lambda each: (-(best[each].cv or 0), random.Random(f"{rules.seed}/order/{each}").random(), each))
    return {each: best[each] for each in ordered[: rules.anneal_questions]}
