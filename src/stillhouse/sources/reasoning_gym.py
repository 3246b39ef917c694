"""Questions from reasoning-gym's generators, each with the generator's own answer as reference."""

import json
from collections.abc import Iterator
from typing import Any

import reasoning_gym

from stillhouse.errors import BadConfig
from stillhouse.sources.config import ReasoningGym
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Dropped, Message, Question, dropped

MAX_ENTRIES_PER_QUESTION = 100
"""Entries tried per question before giving up because ``max_steps`` or ``distinct`` leave too few."""


def questions(spec: ReasoningGym) -> Iterator[Question | Dropped]:
    """Yield ``count`` questions; entries whose own answer the generator scores below 1 are dropped rows.

    Raises BadConfig if the generator refuses its settings, or ``max_steps`` and ``distinct`` leave too few entries.
    """
    dataset = _dataset(spec)
    seen: set[str] = set()
    n_yielded = 0
    for index in range(spec.count * MAX_ENTRIES_PER_QUESTION):
        entry = dataset[index]
        if not _wanted(spec, entry) or (spec.distinct and entry["question"] in seen):
            continue
        seen.add(entry["question"])
        question = _question(spec, entry)
        score = float(dataset.score_answer(entry["answer"], entry))
        if score < 1:
            yield dropped(question, "own_answer_fails", f"the generator scores its own answer {entry['answer']!r} {score:g}")
            continue
        yield question
        n_yielded += 1
        if n_yielded == spec.count:
            return
    msg = f"source {spec.name}: {n_yielded} questions fit, count is {spec.count}; lower count, raise max_steps or turn distinct off"
    raise BadConfig(msg)


def _dataset(spec: ReasoningGym) -> Any:
    try:
        return reasoning_gym.create_dataset(
            spec.dataset, size=spec.count * MAX_ENTRIES_PER_QUESTION, seed=spec.seed, **spec.settings
        )
    except (AssertionError, TypeError, ValueError) as error:
        settings = json.dumps(spec.settings)
        reason = str(error) or "out of the range it supports"
        msg = f"source {spec.name}: {spec.dataset} refuses settings {settings}: {reason}; correct settings or leave them out"
        raise BadConfig(msg) from error


def _wanted(spec: ReasoningGym, entry: Any) -> bool:
    if spec.max_steps is None:
        return True
    if "answer_cot" not in entry["metadata"]:
        msg = f"source {spec.name}: max_steps needs a gold chain of thought, which {spec.dataset} lacks; leave max_steps out"
        raise BadConfig(msg)
    return len([line for line in _chain(entry).splitlines() if line.strip()]) <= spec.max_steps


def _chain(entry: Any) -> str:
    """The gold chain of thought without the final "#### answer" line; empty without one."""
    return str(entry["metadata"].get("answer_cot", "")).rpartition("####")[0].strip()


def _question(spec: ReasoningGym, entry: Any) -> Question:
    messages: list[Message] = [{"role": "user", "content": str(entry["question"])}]
    reference, chain = str(entry["answer"]), _chain(entry)
    return Question(
        question_id(messages, reference), "math", messages, reference_answer=reference,
        original_response=f"<think>{chain}</think><answer>\\boxed{{{reference}}}</answer>" if chain else None,
        source=spec.name, license=spec.license, language="en", difficulty_label=spec.dataset,
    )  # fmt: skip
