"""What an RL stage asks: its questions, their order, and when it has learnt what it can."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path

from pydantic import Field

from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Graded, Question, Selected
from stillhouse.vocabulary.settings import StageConfig

OUTCOMES = "outcomes.json"
"""Beside the weights of an rl stage: question id -> verified rollouts, and those that passed."""

ASKED = "asked.json"
"""Beside the weights of an rl stage: question id -> how often this stage and the rl stages before it asked it."""


class Plateau(StageConfig):
    """When a stage has learnt what it can; the paper gives no criterion."""

    window: int = Field(50, ge=1)
    """Steps whose mean reward is compared with that of as many steps before."""
    least_gain: float = Field(0.005, ge=0)
    """Smallest gain from one window to the next that is worth going on."""


def questions_of(split: str, selected: Path, questions: Path) -> dict[str, Question]:
    """The split's questions, by id, in the order of the split. Raises NothingToDo for an empty split or an unknown question."""
    chosen = [row.question_id for row in tables.read(selected, Selected) if row.split == split]
    if not chosen:
        msg = f"rl: split {split!r} has no example in the selected artifact; check `split` against the recipe of `selected`"
        raise NothingToDo(msg)
    by_id = {question.question_id: question for question in tables.read(questions, Question)}
    missing = [each for each in chosen if each not in by_id]
    if missing:
        msg = f"rl: question {missing[0]} ({len(missing)} such) of split {split!r} is not in the questions input"
        raise NothingToDo(msg)
    return {each: by_id[each] for each in chosen}


def thresholds_of(split: str, selected: Path) -> dict[str, float]:
    """The pass threshold of each of the split's questions that was selected by verdicts."""
    rows = tables.read(selected, Selected)
    return {row.question_id: row.threshold for row in rows if row.split == split and row.threshold is not None}


def levels_of(questions: Mapping[str, Question], graded: Path | None) -> dict[str, int]:
    """The difficulty level of each question that has one; none where no grades are given."""
    found = tables.read(graded, Graded) if graded else ()
    return {row.question_id: row.level for row in found if row.level is not None and row.question_id in questions}


def unsolved(questions: Mapping[str, Question], checkpoint: Path) -> dict[str, Question]:
    """The questions without those that the rl stage which made the checkpoint solved every time.

    Raises BadConfig for a checkpoint that no rl stage made, NothingToDo where none is left.
    """
    path = checkpoint / OUTCOMES
    if not path.is_file():
        msg = f"rl: drop_solved needs the {OUTCOMES} of an rl stage, and the checkpoint has none; set it to false for a first stage"
        raise BadConfig(msg)
    outcomes: dict[str, list[int]] = json.loads(path.read_bytes())
    solved = {each for each, (n, n_passed) in outcomes.items() if 0 < n == n_passed}
    left = {each: question for each, question in questions.items() if each not in solved}
    if not left:
        msg = f"rl: all {len(questions)} questions were always solved in the stage before; take harder ones"
        raise NothingToDo(msg)
    return left


def asked_before(checkpoint: Path) -> dict[str, int]:
    """How often each question was asked by the rl stages that made the checkpoint; nothing where none did."""
    path = checkpoint / ASKED
    found: dict[str, int] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found


def order(
    by_category: Mapping[str, Sequence[str]],
    weights: Mapping[Category, float] | None,
    per_step: int,
    steps: int,
    seed: int,
    asked_before: Mapping[str, int] | None = None,
) -> list[str]:
    """Question ids in the order they are asked: ``per_step`` to a step, ``steps * per_step`` in all.

    With ``weights`` (Staged RL §3.3: math 2.1 to code 1) every step holds the categories in that proportion, to within one question
    of each (of more than two categories, to within two); categories that are not named are left out. Without, questions come as
    they are shuffled. None is asked another time before all of its category have been asked as often, by the stages before
    too: ``asked_before`` says how often those asked each. On the same questions a stage goes on where the one before stopped.
    """
    before = asked_before or {}
    if weights is None:
        every = [each for ids in by_category.values() for each in ids]
        return list(islice(_cycled(every, before, f"{seed}/all"), steps * per_step))
    named = {category: weight for category, weight in weights.items() if by_category.get(category)}
    if not named:
        msg = f"rl: mix names {', '.join(weights)}, and the split has none of them; it has {', '.join(by_category)}"
        raise NothingToDo(msg)
    queues = {category: _cycled(by_category[category], before, f"{seed}/{category}") for category in named}
    total, asked = sum(named.values()), dict.fromkeys(named, 0)
    made: list[str] = []
    for place in range(1, steps * per_step + 1):
        # The category furthest behind its share comes next: over all steps, none is ever more than one question off.
        behind = max(named, key=lambda category: named[category] / total * place - asked[category])
        asked[behind] += 1
        made.append(next(queues[behind]))
    return made


def _cycled(ids: Sequence[str], before: Mapping[str, int], seed: str) -> Iterator[str]:
    """All ids in a seeded order, then all in another, without end; without those that a round before already had."""
    rng = random.Random(seed)
    for n in count():
        yield from (each for each in rng.sample(list(ids), len(ids)) if before.get(each, 0) <= n)


def plateaued(rewards: Sequence[float], window: int, least_gain: float) -> bool:
    """Whether the mean reward of the last ``window`` steps is less than ``least_gain`` above that of the window before.

    False until there are two windows. The paper says that stage 1 ends at its plateau and gives no criterion (Staged RL §4.1).
    """
    if len(rewards) < 2 * window:
        return False
    before, last = rewards[-2 * window : -window], rewards[-window:]
    return sum(last) / window - sum(before) / window < least_gain
