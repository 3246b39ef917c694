r"""Word problems of one or two steps with small numbers, for small pretrained models: a gold chain of thought and a reference.

A template is a text, the steps that lead to the answer, and a constraint on its numbers. Its trace says each step in words:
 ``<think>First, 4 * 6 = 24. Then, 24 - 5 = 19.</think><answer>\boxed{19}</answer>``.
"""

import operator
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stillhouse.errors import BadConfig
from stillhouse.sources.arithmetic import DISTINCT_TRIES
from stillhouse.sources.config import LARGEST_RESULT, Worded
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question

NAMES = (
    "Ada", "Ben", "Clara", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Leo", "Mona", "Nils", "Olga",
)  # fmt: skip
THINGS = (
    "apples", "books", "cards", "coins", "cookies", "flowers", "marbles", "pencils", "shells", "stamps", "stickers", "tickets",
)  # fmt: skip
OPERATIONS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


@dataclass(frozen=True)
class Template:
    """``steps``: operation and operands by name in order; ``x`` is the first step's result. ``small``: numbers of 2 to 9."""

    text: str
    steps: tuple[tuple[str, str, str], ...]
    small: str = ""


TEMPLATES: dict[int, tuple[Template, ...]] = {
    1: (
        Template("{name} has {a} {things} and finds {b} more. How many {things} does {name} have now?", (("+", "a", "b"),)),
        Template("{name} had {a} {things} and gave {b} of them to {other}. How many {things} are left?", (("-", "a", "b"),)),
        Template("{name} fills {a} bags with {b} {things} each. How many {things} are in the bags?", (("*", "a", "b"),), "ab"),
        Template("{name} has {a} {things}. {other} has {b} fewer. How many {things} does {other} have?", (("-", "a", "b"),)),
        Template("There are {a} {things} on the table and {b} in the box. How many {things} are there in all?", (("+", "a", "b"),)),
        Template("One shelf of {name}'s holds {a} {things}. How many do {b} such shelves hold?", (("*", "a", "b"),), "ab"),
    ),
    2: (
        Template(
            "{name} had {a} {things}, gave {b} to {other} and then bought {c} more. How many {things} does {name} have now?",
            (("-", "a", "b"), ("+", "x", "c")),
        ),
        Template(
            "{name} buys {a} packs of {b} {things} and loses {c} of them. How many {things} does {name} still have?",
            (("*", "a", "b"), ("-", "x", "c")), "ab",
        ),
        Template(
            "{name} has {a} {things}. {other} brings {b} boxes with {c} {things} in each. How many {things} are there together?",
            (("*", "b", "c"), ("+", "a", "x")), "bc",
        ),
        Template(
            "{name} collected {a} {things} on Monday and {b} on Tuesday, and sold {c} of them. How many {things} are left?",
            (("+", "a", "b"), ("-", "x", "c")),
        ),
        Template(
            "{other} has {a} {things} and {name} has {b} more than {other}. How many {things} do they have together?",
            (("+", "a", "b"), ("+", "a", "x")),
        ),
        Template(
            "A ticket costs {a} dollars. {name} buys {b} tickets and pays with {c} dollars. How many dollars does {name} get back?",
            (("*", "a", "b"), ("-", "c", "x")), "ab",
        ),
    ),
}  # fmt: skip
"""By the number of steps."""


def questions(spec: Worded) -> Iterator[Question]:
    """Yield ``count`` questions. Raises BadConfig if ``distinct`` questions run out."""
    rng = random.Random(f"worded/{spec.seed}")
    seen: set[str] = set()
    for _ in range(spec.count):
        question = next((draw for draw in _draws(spec, rng) if not spec.distinct or draw.question_id not in seen), None)
        if question is None:
            msg = f"source {spec.name}: only {len(seen)} distinct questions, count is {spec.count}; lower count"
            raise BadConfig(msg)
        seen.add(question.question_id)
        yield question


def _draws(spec: Worded, rng: random.Random) -> Iterator[Question]:
    for _ in range(DISTINCT_TRIES):
        n_steps = 2 if rng.random() < spec.two_step_share else 1
        yield _question(spec, n_steps, rng.choice(TEMPLATES[n_steps]), rng)


def _question(spec: Worded, n_steps: int, template: Template, rng: random.Random) -> Question:
    name, other = rng.sample(NAMES, 2)
    numbers, steps_in_words = _numbers(template, spec.largest, rng)
    text = template.text.format(name=name, other=other, things=rng.choice(THINGS), **numbers)
    chain = " ".join(f"{word}, {step}." for word, step in zip(("First", "Then"), steps_in_words, strict=False))
    result = steps_in_words[-1].rpartition(" ")[2]
    messages: list[Message] = [{"role": "user", "content": text}]
    return Question(
        question_id(messages, result), "math", messages, reference_answer=result,
        original_response=f"<think>{chain}</think><answer>\\boxed{{{result}}}</answer>",
        source=spec.name, license=spec.license, language="en", difficulty_label=f"{n_steps}-step",
    )  # fmt: skip


def _numbers(template: Template, largest: int, rng: random.Random) -> tuple[dict[str, int], list[str]]:
    """Numbers for a template's letters, and its steps; drawn until every result is between 1 and LARGEST_RESULT."""
    while True:
        numbers = {letter: rng.randint(2, 9 if letter in template.small else largest) for letter in "abc"}
        known, steps_in_words = dict(numbers), []
        for sign, left, right in template.steps:
            first, second = known[left], known[right]
            known["x"] = OPERATIONS[sign](first, second)
            steps_in_words.append(f"{first} {sign} {second} = {known['x']}")
            if not 1 <= known["x"] <= LARGEST_RESULT:
                break
        else:
            return numbers, steps_in_words
