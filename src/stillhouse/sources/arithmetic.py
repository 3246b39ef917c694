r"""Digit-by-digit arithmetic: questions of graded difficulty, with a worked trace and a reference.

A family is an operation and the number of digits of the first operand: ``add-3`` asks "What is 347 + 238?". Its trace works from
the right, ``<think>7+8+0=15; 4+3+1=8; 3+2+0=5</think><answer>\boxed{585}</answer>``: an addition's step is a+b+carry=sum, a
subtraction's a-b-borrow=digit with "!" where it borrows, a multiplication's a*b+carry=product.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stillhouse.errors import BadConfig
from stillhouse.sources.config import Arithmetic
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.prompts import previous_answer_prompt
from stillhouse.vocabulary.rows import Message, Question

DISTINCT_TRIES = 2000
"""Consecutive draws that may repeat earlier questions before a ``distinct`` source counts as exhausted."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: ``result`` is the trace's, ``reference`` the right one."""

    text: str
    reference: int
    steps: list[str]
    result: int


def questions(spec: Arithmetic) -> Iterator[Question]:
    """Yield ``count`` questions. Raises BadConfig if ``distinct`` questions run out."""
    seen: set[str] = set()
    index = 0
    for _ in range(spec.count):
        for _ in range(DISTINCT_TRIES):
            question = _question(spec, index)
            index += 1
            if not spec.distinct or question.messages[0]["content"] not in seen:
                break
        else:
            msg = f"source {spec.name}: only {len(seen)} distinct questions, count is {spec.count}; lower count or add families"
            raise BadConfig(msg)
        if spec.distinct:
            seen.add(question.messages[0]["content"])
        yield question


def _question(spec: Arithmetic, index: int) -> Question:
    """The question of this index; it depends on the seed and the index alone."""
    rng = random.Random(f"{spec.seed}/{index}")
    family = rng.choices(list(spec.families), weights=list(spec.families.values()))[0]
    operation, _, digits = family.partition("-")
    exercise = OPERATIONS[operation](rng, int(digits), spec.slip_rate)
    text = exercise.text
    if rng.random() < spec.reanswer_share:
        previous = exercise.reference if rng.random() < 0.5 else _wrong(rng, exercise.reference)
        text = previous_answer_prompt(text, f"\\boxed{{{previous}}}")
    if rng.random() < spec.summary_share:
        return _summary(spec, family, exercise)
    messages: list[Message] = [{"role": "user", "content": text}]
    reference = str(exercise.reference)
    return Question(
        question_id(messages, reference), "math", messages, reference_answer=reference,
        original_response=f"<think>{'; '.join(exercise.steps)}</think><answer>\\boxed{{{exercise.result}}}</answer>",
        source=spec.name, license=spec.license, language="en", difficulty_label=family,
    )  # fmt: skip


def _summary(spec: Arithmetic, family: str, exercise: Exercise) -> Question:
    """The trace as the question, ``15; 8; 5`` as the answer."""
    messages: list[Message] = [{"role": "user", "content": "; ".join(exercise.steps)}]
    summary = "; ".join(step.rpartition("=")[2] for step in exercise.steps)
    return Question(
        question_id(messages, summary), "other", messages, reference_answer=summary, original_response=summary, source=spec.name,
        license=spec.license, language="en", difficulty_label=family,
    )  # fmt: skip


def _add(rng: random.Random, n_digits: int, slip_rate: float) -> Exercise:
    a, b = _operand(rng, n_digits), _operand(rng, n_digits)
    steps, carry, out = [], 0, []
    for x, y in zip(_digits(a), _digits(b), strict=True):
        total = _slip(rng, x + y + carry, slip_rate)
        steps.append(f"{x}+{y}+{carry}={total}")
        out.append(total % 10)
        carry = total // 10
    return Exercise(f"What is {a} + {b}?", a + b, steps, _number([*out, carry]))


def _subtract(rng: random.Random, n_digits: int, slip_rate: float) -> Exercise:
    b, a = sorted((_operand(rng, n_digits), _operand(rng, n_digits)))
    steps, borrow, out = [], 0, []
    for x, y in zip(_digits(a), _digits(b), strict=True):
        borrows = x - y - borrow < 0
        digit = _slip(rng, x - y - borrow + 10 * borrows, slip_rate) % 10
        steps.append(f"{x}-{y}-{borrow}={digit}{'!' if borrows else ''}")
        out.append(digit)
        borrow = int(borrows)
    return Exercise(f"What is {a} - {b}?", a - b, steps, _number(out))


def _multiply(rng: random.Random, n_digits: int, slip_rate: float) -> Exercise:
    a, b = _operand(rng, n_digits), rng.randrange(2, 10)
    steps, carry, out = [], 0, []
    for x in _digits(a):
        product = _slip(rng, x * b + carry, slip_rate)
        steps.append(f"{x}*{b}+{carry}={product}")
        out.append(product % 10)
        carry = product // 10
    return Exercise(f"What is {a} * {b}?", a * b, steps, _number([*out, carry]))


OPERATIONS: dict[str, Callable[[random.Random, int, float], Exercise]] = {"add": _add, "sub": _subtract, "mul": _multiply}


def _operand(rng: random.Random, n_digits: int) -> int:
    return rng.randrange(10 ** (n_digits - 1), 10**n_digits)


def _digits(number: int) -> list[int]:
    """The digits from the right."""
    return [int(digit) for digit in reversed(str(number))]


def _number(digits: list[int]) -> int:
    """The number with these digits, from the right; the last may exceed 9."""
    number = 0
    for digit in reversed(digits):
        number = number * 10 + digit
    return number


def _slip(rng: random.Random, value: int, rate: float) -> int:
    return max(0, value + rng.choice((-1, 1))) if rng.random() < rate else value


def _wrong(rng: random.Random, right: int) -> int:
    """The number after one slip: never negative, never right."""
    unit = int(10 ** rng.randrange(len(str(right))))
    return right + (unit if right < unit or rng.random() < 0.5 else -unit)
