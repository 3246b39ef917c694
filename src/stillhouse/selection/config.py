"""Algorithm 1 of DeepDistill (§3), its annealing selection, and the sizes of splits. Pure functions.

``choices`` does the same to columns; these say what it has to come to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from stillhouse.grading.config import CvThresholds, PassThresholds, coefficient_of_variation, pass_rate, scale
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.seeds import draw
from stillhouse.vocabulary.settings import StageConfig

EASY_KEPT = ("multi_turn", "other")
"""Categories whose easy questions stay with a probability; those of all others are dropped."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One response to a question that may be chosen: whose it is, which of its samples, and its verify score."""

    model: str
    sample_index: int
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


class Limits(StageConfig):
    """How large a split is, and how its categories are mixed. What is cut is decided by rank: CV for annealing, else a draw."""

    size: int | None = Field(None, ge=1)
    """Most examples; null takes all."""
    caps: dict[Category, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Most examples of a category (DeepDistill Fig. 3: 20,000 of science, 10,000 of instruction_following)."""
    mix: dict[Category, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Weights of categories, such as {math: 2.1, code: 1} (Staged RL §4.4): others are left out. Empty: as they come."""


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
    if category in EASY_KEPT and draw(rules.seed, "easy", question_id) < rules.easy_keep_probability:
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
            best[question_id] = replace(choice, chosen=(_first_drawn(question_id, good, rules.seed),))
    ordered = sorted(best, key=lambda each: (-(best[each].cv or 0), draw(rules.seed, "order", each), each))
    return {each: best[each] for each in ordered[: rules.anneal_questions]}


def _first_drawn(question_id: str, scored: Sequence[Scored], seed: int) -> Scored:
    return min(scored, key=lambda each: draw(seed, "anneal", question_id, each.model, str(each.sample_index)))


def quotas(available: Mapping[str, int], limits: Limits) -> dict[str, int]:
    """How many examples of each category a split takes of those available. Size alone is no quota: it cuts the whole ranking."""
    capped = {category: min(count, limits.caps.get(category, count)) for category, count in available.items()}  # type: ignore[call-overload]
    if not limits.mix:
        return capped
    unit = min(capped.get(category, 0) / weight for category, weight in limits.mix.items())
    if limits.size is not None:
        unit = min(unit, limits.size / sum(limits.mix.values()))
    # The scarcest category's quota is a whole number that division and multiplication may miss by a hair.
    return {category: int(unit * weight + 1e-9) for category, weight in limits.mix.items()}
