"""Algorithm 1 of DeepDistill (§3) and its annealing selection by scalar: what ``selection.algorithm_1`` must do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stillhouse.selection.config import AlgorithmRules
from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.seeds import draw
from tests.oracles.grading import coefficient_of_variation, pass_rate


@dataclass(frozen=True, slots=True)
class Scored:
    """One response that may be chosen: its model, which of the samples it is, and its verify score."""

    model: str
    sample_index: int
    score: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The responses chosen for one question, or the reason for choosing none. ``challenging``: CV above its threshold."""

    category: Category
    chosen: tuple[Scored, ...]
    cv: float | None
    pass_rate: float
    challenging: bool = False
    reason: str | None = None


def stage_1(question_id: str, category: Category, scored: Sequence[Scored], rules: AlgorithmRules, threshold: float) -> Choice:
    """Algorithm 1 for one question with at least one scored response.

    Dropped: ``below_threshold`` (no response passes), ``easy`` (the scores vary too little), ``cv_undefined`` (too few responses).
    A challenging question keeps its passing responses. So does an easy one that stays: the paper leaves that open.
    """
    scores = [response.score for response in scored]
    cv, rate = coefficient_of_variation(scores, rules.ddof), pass_rate(scores, threshold)
    passing = tuple(response for response in scored if response.score > threshold)
    if not passing:
        return Choice(category, (), cv, rate, reason="below_threshold")
    if cv is None:
        return Choice(category, (), cv, rate, reason="cv_undefined")
    if cv > rules.cv_thresholds[category]:
        return Choice(category, passing, cv, rate, challenging=True)
    if category in rules.easy_categories and draw(rules.seed, "easy", question_id) < rules.easy_keep_probability:
        return Choice(category, passing, cv, rate)
    return Choice(category, (), cv, rate, reason="easy")


def annealing(choices: Mapping[str, Choice], rules: AlgorithmRules) -> dict[str, Choice]:
    """Question -> its choice for the annealing stage (§3.2): the highest CVs first, one random response per question.

    Only challenging questions with a response whose score over its scale's top is above the rules' threshold. Equal CVs, which
    binary scores often have, come in a seeded order.
    """
    best: dict[str, Choice] = {}
    for question_id, choice in choices.items():
        top = FACTS[choice.category].scale
        good = [response for response in choice.chosen if response.score / top > rules.anneal_threshold]
        if choice.challenging and good:
            best[question_id] = replace(choice, chosen=(_first_drawn(question_id, good, rules.seed),))
    ordered = sorted(best, key=lambda key: (-(best[key].cv or 0), draw(rules.seed, "order", key), key))
    return {key: best[key] for key in ordered[: rules.anneal_questions]}


def _first_drawn(question_id: str, scored: Sequence[Scored], seed: int) -> Scored:
    return min(scored, key=lambda response: draw(seed, "anneal", question_id, response.model, str(response.sample_index)))
