"""Comparisons of ratios, times of day, numbers in bases, congruences, and of vectors that are written as sums."""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact import valuation
from stillhouse.verification.exact.expressions import Expression, symbols
from stillhouse.verification.exact.numbers import same_expression
from stillhouse.verification.exact.values import Congruence, Ellipsis, Group, InBase, Quantity, Ratio, Value, Words

Same = Callable[[Value, Value], bool]
LONGEST_PROGRESSION = 500
"""Members of a list with dots that are compared one by one."""
_AXES = ("i", "j", "k")


def ratios(gold: Ratio, answer: Ratio, same: Same, rules: AnswerRules) -> bool:
    """Times of day, or the proportions of parts."""
    if gold.clock and answer.clock:
        return _same_time(gold, answer)
    if _is_time(gold) or _is_time(answer):
        return False
    if len(gold.parts) != len(answer.parts) or _has_several_units(gold) != _has_several_units(answer):
        return False
    if not all(isinstance(part, Quantity) for part in (*gold.parts, *answer.parts)):
        return all(map(same, gold.parts, answer.parts))
    return all(
        same_expression(_product(gold.parts[0], answer.parts[place]), _product(gold.parts[place], answer.parts[0]))
        for place in range(1, len(gold.parts))
    )


def _has_several_units(ratio: Ratio) -> bool:
    """Whether its parts cannot be compared as numbers: ``3 : 5%``."""
    return len({(part.unit, part.percent) for part in ratio.parts if isinstance(part, Quantity)}) > 1


def _product(one: Value, other: Value) -> Expression:
    assert isinstance(one, Quantity)
    assert isinstance(other, Quantity)
    return Expression("*", (one.expression, other.expression))


def ratio_as_number(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    """``3:4`` and ``3/4``."""
    ratio, number = (gold, answer) if isinstance(gold, Ratio) else (answer, gold)
    if not isinstance(ratio, Ratio) or len(ratio.parts) != 2 or _is_time(ratio) or _has_several_units(ratio):
        return False
    left, right = ratio.parts
    if not (isinstance(left, Quantity) and isinstance(right, Quantity) and isinstance(number, Quantity)):
        return False
    return same_expression(Expression("/", (left.expression, right.expression)), number.expression)


def bases(gold: InBase, answer: InBase, same: Same, rules: AnswerRules) -> bool:
    """The same digits in the same base."""
    return gold == answer


def base_left_out(gold: InBase, answer: Quantity, same: Same, rules: AnswerRules) -> bool:
    """The digits alone: the question names the base."""
    return not answer.unit and _digits(answer.expression) == gold.digits


def base_ten(gold: Quantity, answer: InBase, same: Same, rules: AnswerRules) -> bool:
    """A number, and the same digits in base ten."""
    return answer.base == 10 and base_left_out(answer, gold, same, rules)


def base_in_words(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    """Digits that are letters, with and without their base: ``FF``."""
    number, words = (gold, answer) if isinstance(gold, InBase) else (answer, gold)
    return isinstance(number, InBase) and isinstance(words, Words) and words.text.upper() == number.digits


def _digits(shown: Expression) -> str:
    """The digits and letters of an expression that is written as a number is: ``2A``."""
    if shown.kind == "number":
        return str(shown.value) if shown.value.denominator == 1 and shown.ulp is None else "."
    if shown.kind == "symbol":
        return shown.name
    return "".join(map(_digits, shown.arguments)) if shown.kind == "*" else "."


def _is_time(ratio: Ratio) -> bool:
    """Whether it can only be a time of day: ``8:05`` is not the proportion 8:5."""
    return ratio.clock and bool(ratio.half or re.search(r":\s?0\d", ratio.text))


def _same_time(gold: Ratio, answer: Ratio) -> bool:
    """Whether two times of day are one; without *am* or *pm*, 3:45 may be either, and 15:45 is the later one."""
    if gold.text == answer.text:
        return gold.half == answer.half or not gold.half or not answer.half
    hours = {_hour(gold), _hour(answer)}
    return len(hours) == 1 and None not in hours and gold.text.partition(":")[2] == answer.text.partition(":")[2]


def _hour(time: Ratio) -> int | None:
    """The hour of 24; None if it may be one of two."""
    hour = int(time.text.partition(":")[0])
    if time.half:
        return hour % 12 + 12 * ("p" in time.half) if 1 <= hour <= 12 else None
    return hour % 24 if hour > 12 or hour == 0 else None


def congruences(gold: Congruence, answer: Congruence, same: Same, rules: AnswerRules) -> bool:
    """The same modulus, and remainders that differ by a multiple of it."""
    if gold.left and answer.left and gold.left != answer.left:
        return False
    numbers = [_whole(part) for part in (gold.remainder, answer.remainder, gold.modulus, answer.modulus)]
    if None in numbers:
        return same(gold.remainder, answer.remainder) and same(gold.modulus, answer.modulus)
    one, other, modulus, stated = (int(number or 0) for number in numbers)
    return modulus == stated > 0 and (one - other) % modulus == 0


def _whole(part: Quantity) -> Fraction | None:
    if part.unit or symbols(part.expression):
        return None
    number = valuation.value(part.expression, {})
    return number if isinstance(number, Fraction) and number.denominator == 1 else None


def without_dots(items: Sequence[Value]) -> Sequence[Value]:
    """The members of ``1, 2, ..., 10``, if whole numbers with equal steps stand before the dots; all other lists as they are."""
    places = [place for place, item in enumerate(items) if isinstance(item, Ellipsis)]
    numbers = [_whole(item) if isinstance(item, Quantity) else None for item in items]
    if len(places) != 1 or not 2 <= places[0] < len(items) - 1 or numbers.count(None) > 1:
        return items
    first, *_ = known = [int(number) for number in numbers if number is not None]
    step, last = known[1] - known[0], known[-1]
    if not step or not 0 < (last - first) // step <= LONGEST_PROGRESSION:
        return items
    members = list(range(first, last + (1 if step > 0 else -1), step))
    after = len(known) - places[0]
    if known[: places[0]] != members[: places[0]] or known[places[0] :] != members[-after:]:
        return items
    return tuple(Quantity(Expression("number", value=Fraction(member))) for member in members)


def vector_as_sum(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    r"""``(2, -1)`` and ``2\mathbf{i} - \mathbf{j}``; a sum with only ``i`` may be a complex number and is none."""
    group, total = (gold, answer) if isinstance(gold, Group) else (answer, gold)
    if not isinstance(group, Group) or not isinstance(total, Quantity) or group.opening == "{" or len(group.items) not in (2, 3):
        return False
    names = symbols(total.expression)
    if not names & {"j", "k"} or not all(isinstance(item, Quantity) for item in group.items):
        return False
    parts = [item.expression for item in group.items if isinstance(item, Quantity)]
    terms = [Expression("*", (part, Expression("symbol", name=f"{axis}_axis"))) for part, axis in zip(parts, _AXES, strict=False)]
    shown = total.expression
    for axis in _AXES:
        shown = replaced(shown, axis, f"{axis}_axis")
    added = terms[0]
    for term in terms[1:]:
        added = Expression("+", (added, term))
    return same_expression(added, shown, rules)


def replaced(part: Expression, name: str, other: str) -> Expression:
    """The expression with a letter in place of another."""
    if part.kind == "symbol":
        return Expression("symbol", name=other) if part.name == name else part
    return Expression(
        part.kind, tuple(replaced(argument, name, other) for argument in part.arguments), part.name, part.value, part.ulp
    )
