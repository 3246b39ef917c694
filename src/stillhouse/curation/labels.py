"""Ask a model to label questions: category, difficulty in five levels, completeness.

The 1.4M report (§2.1.2, §2.1.3) has Qwen2.5-7B-Instruct name the category and an unnamed model the difficulty; DeepDistill (Fig. 6)
has an unnamed model find incomplete questions. Neither prints its prompt: these are ours.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from stillhouse.curation.config import Label, ModelLabels
from stillhouse.curation.filters import has_reference
from stillhouse.curation.normalised import user_text
from stillhouse.errors import TooManyErrors
from stillhouse.models.references import name_of
from stillhouse.sampling import engine as engines
from stillhouse.sampling.engine import Engine, Request
from stillhouse.vocabulary.categories import CATEGORIES
from stillhouse.vocabulary.rows import PromptKind, Question, ResponseKey
from stillhouse.vocabulary.seeds import row_seed
from stillhouse.vocabulary.transcript import END_THINK

DIFFICULTIES = ("very_easy", "easy", "medium", "hard", "very_hard")

ANSWERS: dict[Label, tuple[str, ...]] = {
    "category": CATEGORIES, "difficulty": DIFFICULTIES, "completeness": ("complete", "incomplete"),
}  # fmt: skip
"""The words that a model may answer with, by label."""

_FRAME = (
    "Below is a task that a user gave to an assistant. Do not solve it. {what}\n\n<task>\n{question}\n</task>\n\n"
    "Answer with one of these words alone: {answers}."
)
PROMPTS: dict[Label, str] = {
    "category": (
        "Say which kind of task it is:\n"
        "math: calculation, proof or a word problem\n"
        "code: a program is to be written, explained or corrected\n"
        "science: physics, chemistry, biology or another science\n"
        "instruction_following: a text that must obey stated constraints of form\n"
        "multi_turn: it can only be understood from earlier turns of a conversation\n"
        "other: anything else"
    ),
    "difficulty": (
        "Judge how hard it is for an educated adult who has paper and time: very_easy takes a moment, easy a few steps, medium "
        "some thought, hard an expert, very_hard an expert's long work."
    ),
    "completeness": (
        "Say whether it can be worked on as it stands (complete), or whether something is missing: the text breaks off, refers to "
        "a figure, file or text that is not there, or asks nothing (incomplete)."
    ),
}
"""The question about the task, by label."""


@dataclass
class Labelled:
    """Labelled questions, incomplete questions, and counts by metric name."""

    questions: list[Question]
    incomplete: list[Question]
    counts: Counter[str]


def labeller(config: ModelLabels | None) -> Callable[[Sequence[Question]], Labelled] | None:
    """Load the model and return a function that labels questions; None without a config. Raises EngineFailed."""
    return partial(ask, config, engines.load(config.sampling, config.model)) if config else None


def ask(config: ModelLabels, engine: Engine, questions: Sequence[Question]) -> Labelled:
    """Ask the model for every label of every question."""
    answers = _answers(config, engine, questions)
    counts = Counter(f"n_asked/{label}" for _, label in answers)
    counts.update(f"n_unlabelled/{label}" for (_, label), answer in answers.items() if answer is None)
    labelled = Labelled([], [], counts)
    for question in questions:
        own = {label: answers.get((question.question_id, label)) for label in config.asked}
        if own.get("completeness") == "incomplete":
            labelled.incomplete.append(question)
            continue
        category = next((name for name in CATEGORIES if name == own.get("category")), question.category)
        if not has_reference(category, question):
            counts["n_label_without_reference"] += 1
            category = question.category
        difficulty = own.get("difficulty") or question.difficulty_label
        labelled.questions.append(replace(question, category=category, difficulty_label=difficulty))
    return labelled


def refuse_unlabelled(config: ModelLabels, counts: Counter[str]) -> None:
    """Raise TooManyErrors if more answers named no label than ``max_unlabelled`` allows."""
    for label in config.asked:
        n_asked, n_failed = counts[f"n_asked/{label}"], counts[f"n_unlabelled/{label}"]
        if n_failed > config.max_unlabelled * n_asked:
            msg = (
                f"{config.model} named no {label} for {n_failed} of {n_asked} questions, max_unlabelled is "
                f"{config.max_unlabelled:g}; take a model that follows instructions, or raise max_unlabelled"
            )
            raise TooManyErrors(msg)


def _answers(config: ModelLabels, engine: Engine, questions: Sequence[Question]) -> dict[tuple[str, Label], str | None]:
    """The model's answers by question and label; None if it named no label."""
    requests = [
        _request(config, question, label)
        for question in questions
        for label in config.asked
        if label != "category" or question.category == "other"
    ]
    answers: dict[tuple[str, Label], str | None] = {}
    for request, completion in engine.sample(requests):
        question_id, _, kind, _, _ = request.key
        label = next(label for label in config.asked if kind == _kind(label))
        answers[question_id, label] = parse(label, completion.text)
    return answers


def _kind(label: Label) -> str:
    """The kind of prompt in the key of a request."""
    return f"label_{label}"


def _request(config: ModelLabels, question: Question, label: Label) -> Request:
    # Prompt kinds of our own: no row is made of these completions.
    key: ResponseKey = (question.question_id, name_of(config.model), cast("PromptKind", _kind(label)), 1, 0)
    content = _FRAME.format(what=PROMPTS[label], question=user_text(question.messages), answers=", ".join(ANSWERS[label]))
    return Request(key, [{"role": "user", "content": content}], row_seed(config.sampling.seed, key))


def parse(label: Label, text: str) -> str | None:
    """The one label that the answer names after any thinking; None if it names none or several."""
    answer = re.sub(r"[\s_-]+", "_", text.rpartition(END_THINK)[2].lower())
    # Longest first: "very_easy" is not "easy", "incomplete" not "complete".
    names = "|".join(sorted(ANSWERS[label], key=len, reverse=True))
    named = set(re.findall(rf"(?<![a-z])(?:{names})(?![a-z])", answer))
    return named.pop() if len(named) == 1 else None
