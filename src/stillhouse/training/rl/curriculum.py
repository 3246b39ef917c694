"""What an RL stage asks: its questions, their order, and when its reward has reached a plateau."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path

from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Graded, Question, Selected

OUTCOMES = "outcomes.json"
"""Beside the weights of an rl stage: question id -> number of verified rollouts, and number of those that passed."""

ASKED = "asked.json"
"""Beside the weights of an rl stage: question id -> how often this stage and the rl stages before it asked the question."""


def questions_of(split: str, selected: Path, questions: Path) -> dict[str, Question]:
    """The split's questions, by id, in the order of the split. Raises NothingToDo for an empty split or an unknown question."""
    chosen = [row.question_id for row in tables.read(selected, Selected) if row.split == split]
    if not chosen:
        msg = f"rl: split {split!r} has no example in the selected artifact; check `split` against the recipe of `selected`"
        raise NothingToDo(msg)
    by_id = {question.question_id: question for question in tables.read(questions, Question)}
    missing = [question_id for question_id in chosen if question_id not in by_id]
    if missing:
        msg = f"rl: {len(missing)} questions of split {split!r} are not in the questions input, the first is {missing[0]}"
        raise NothingToDo(msg)
    return {question_id: by_id[question_id] for question_id in chosen}


def thresholds_of(split: str, selected: Path) -> dict[str, float]:
    """The pass threshold of each of the split's questions that was selected by verdicts."""
    rows = tables.read(selected, Selected)
    return {row.question_id: row.threshold for row in rows if row.split == split and row.threshold is not None}


def levels_of(questions: Mapping[str, Question], graded: Path | None) -> dict[str, int]:
    """The difficulty level of each question that has one; empty without grades."""
    grades = tables.read(graded, Graded) if graded else ()
    return {row.question_id: row.level for row in grades if row.level is not None and row.question_id in questions}


def pass_rates(questions: Mapping[str, Question], graded: Path | None, checkpoint: Path) -> dict[str, float]:
    """The pass rate of each question that has one: by the checkpoint's own rl stage, or else the mean of the graded models'."""
    grades = tables.read(graded, Graded) if graded else ()
    rates = {
        row.question_id: sum(grade["pass_rate"] for grade in row.models) / len(row.models)
        for row in grades if row.question_id in questions and row.models
    }  # fmt: skip
    path = checkpoint / OUTCOMES
    outcomes: dict[str, list[int]] = json.loads(path.read_bytes()) if path.is_file() else {}
    return rates | {key: n_passed / n for key, (n, n_passed) in outcomes.items() if n and key in questions}


def unsolved(questions: Mapping[str, Question], checkpoint: Path) -> dict[str, Question]:
    """The questions without those that the checkpoint's own rl stage solved every time.

    Raises BadConfig if no rl stage made the checkpoint, NothingToDo if no question remains.
    """
    path = checkpoint / OUTCOMES
    if not path.is_file():
        msg = f"rl: drop_solved needs the {OUTCOMES} of an rl stage, and the checkpoint has none; set it to false for a first stage"
        raise BadConfig(msg)
    outcomes: dict[str, list[int]] = json.loads(path.read_bytes())
    solved = {question_id for question_id, (n, n_passed) in outcomes.items() if 0 < n == n_passed}
    remaining = {question_id: question for question_id, question in questions.items() if question_id not in solved}
    if not remaining:
        msg = f"rl: all {len(questions)} questions were always solved in the stage before; take harder ones"
        raise NothingToDo(msg)
    return remaining


def asked_before(checkpoint: Path) -> dict[str, int]:
    """How often the rl stages that made the checkpoint asked each question; empty if no rl stage made it."""
    path = checkpoint / ASKED
    counts: dict[str, int] = json.loads(path.read_bytes()) if path.is_file() else {}
    return counts


def order(
    by_category: Mapping[str, Sequence[str]],
    weights: Mapping[Category, float] | None,
    per_step: int,
    steps: int,
    seed: int,
    asked_before: Mapping[str, int] | None = None,
) -> list[str]:
    """Question ids in the order they are asked: ``per_step`` per step, ``steps * per_step`` in all; see ``endless``."""
    return list(islice(endless(by_category, weights, seed, asked_before or {}), steps * per_step))


def endless(
    by_category: Mapping[str, Sequence[str]], weights: Mapping[Category, float] | None, seed: int, asked_before: Mapping[str, int]
) -> Iterator[str]:
    """Question ids in the order they are asked, without end.

    With ``weights`` (Staged RL §3.3: math 2.1 to code 1) every step holds the categories in that proportion, to within one question
    of each (to within two if there are more than two categories); categories without a weight are left out. Without weights,
    questions come in shuffled order.

    No question is asked again before all of its category were asked as often, counting the stages before: ``asked_before`` says how
    often they asked each question. So a stage on the same questions continues where the stage before stopped.
    """
    if weights is None:
        question_ids = [question_id for ids in by_category.values() for question_id in ids]
        return _cycled(question_ids, asked_before, f"{seed}/all")
    present = present_weights(by_category, weights)
    queues = {category: _cycled(by_category[category], asked_before, f"{seed}/{category}") for category in present}
    return (next(queues[category]) for category in in_proportion(present))


def present_weights(by_category: Mapping[str, Sequence[str]], weights: Mapping[Category, float]) -> dict[str, float]:
    """The weights of the categories that have questions. Raises NothingToDo if none has."""
    present: dict[str, float] = {category: weight for category, weight in weights.items() if by_category.get(category)}
    if not present:
        msg = f"rl: mix names {', '.join(weights)}, and the split has none of them; it has {', '.join(by_category)}"
        raise NothingToDo(msg)
    return present


def in_proportion(weights: Mapping[str, float]) -> Iterator[str]:
    """Categories in turn, without end: always the one furthest behind its share, so that none is ever more than one off."""
    total, n_asked = sum(weights.values()), dict.fromkeys(weights, 0)
    for position in count(1):
        lag = {category: weight / total * position - n_asked[category] for category, weight in weights.items()}
        behind = max(lag, key=lag.__getitem__)
        n_asked[behind] += 1
        yield behind


def _cycled(ids: Sequence[str], before: Mapping[str, int], seed: str) -> Iterator[str]:
    """All ids in a seeded order, then all in another order, without end; each round skips ids that were asked in it before."""
    rng = random.Random(seed)
    for n in count():
        yield from (question_id for question_id in rng.sample(list(ids), len(ids)) if before.get(question_id, 0) <= n)


def plateaued(rewards: Sequence[float], window: int, least_gain: float) -> bool:
    """Whether the mean reward of the last ``window`` steps is less than ``least_gain`` above that of the window before.

    False until there are two windows. The paper says that stage 1 ends at its plateau and gives no criterion (Staged RL §4.1).
    """
    if len(rewards) < 2 * window:
        return False
    before, last = rewards[-2 * window : -window], rewards[-window:]
    return sum(last) / window - sum(before) / window < least_gain
