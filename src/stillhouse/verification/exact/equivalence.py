"""Are two values equal in math-verify's sense? True, False, or None if its verdict is uncertain.

Its sense: decimals are equal if they round to the same six places; 10 % equals 0.1 and, compared with a whole number, also 10; sets
are unordered and tuples ordered; an open interval of two numbers may stand for their tuple or their set.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from stillhouse.verification.exact import algebra
from stillhouse.verification.exact.algebra import Unsure
from stillhouse.verification.exact.parsing import INFINITY, PI, Number, NumberGroup, Value, size

PLACES = 10**6
CLEARLY_APART, CLEARLY_APART_RELATIVE = Fraction(2, PLACES), Fraction(1, 10**9)
LARGEST_DECIMAL = 10**8
"""Above it, a float has no six decimal places."""
SAFE_GAP = 1e-5
"""Members of a set that are closer than this may be sorted either way."""


def equal(gold: Value, answer: Value) -> bool | None:
    """Whether an answer equals the reference."""
    if isinstance(gold, Number) and isinstance(answer, Number):
        return _equal_numbers(gold, answer)
    try:
        if isinstance(gold, NumberGroup) and isinstance(answer, NumberGroup):
            return _equal_groups(gold, answer)
        number, group = (gold, answer) if isinstance(answer, NumberGroup) else (answer, gold)
        return _number_in_place_of_group(number, group)  # type: ignore[arg-type]
    except Unsure:
        return None


def _number_in_place_of_group(number: Number, group: NumberGroup) -> bool | None:
    """False: a group has two numbers or more. None if the number's form leaves math-verify's verdict open."""
    if number.percent or algebra.letters(number.terms):
        return None
    _check_order(group)
    return False


def _equal_numbers(one: Number, other: Number) -> bool | None:
    if _lone_letter(one) or _lone_letter(other):
        return None
    if one.decimal or other.decimal:
        return _equal_decimals(one, other)
    if one.percent != other.percent:
        return _equal_percent(*((one, other) if one.percent else (other, one)))
    return one.terms == other.terms


def _equal_percent(percent: Number, other: Number) -> bool | None:
    """n % compared with a number without a decimal point."""
    amount, plain = algebra.rational(percent.terms), algebra.rational(other.terms)
    if amount is None or plain is None or (other.computed and plain.denominator == 1):
        return None
    return amount == 100 * plain or (plain.denominator == 1 and amount == plain)


def _equal_decimals(one: Number, other: Number) -> bool | None:
    left, right = _amount(one), _amount(other)
    if left is None or right is None:
        return None
    largest = max(abs(left), abs(right))
    if abs(left - right) > max(CLEARLY_APART, CLEARLY_APART_RELATIVE * largest):
        return False
    if left == right and largest <= LARGEST_DECIMAL:
        return True
    # A whole number without a decimal point is not rounded, and so may differ from a rounded one.
    whole = any(not number.decimal and amount.denominator == 1 for number, amount in ((one, left), (other, right)))
    if whole or largest > LARGEST_DECIMAL or _near_half(left) or _near_half(right):
        return None
    return round(left * PLACES) == round(right * PLACES)


def _amount(number: Number) -> Fraction | None:
    value = algebra.rational(number.terms)
    return value / 100 if value is not None and number.percent else value


def _near_half(value: Fraction) -> bool:
    """Whether the sixth place may be rounded either way."""
    return abs(value * PLACES % 1 - Fraction(1, 2)) < Fraction(1, 100)


def _lone_letter(number: Number) -> bool:
    """Whether it is a single letter: math-verify compares that by name, whatever form the other side has."""
    names = algebra.letters(number.terms)
    return len(names) == 1 and not names & {INFINITY, PI} and number.terms == algebra.letter(*names)


def _equal_groups(gold: NumberGroup, answer: NumberGroup) -> bool | None:
    if gold.kind == answer.kind == "interval":
        return gold.open_ends == answer.open_ends and _equal_items(gold.items, answer.items)
    _check_order(gold)
    _check_order(answer)
    for interval, other in ((gold, answer), (answer, gold)):
        if interval.kind == "interval" and (interval.open_ends != (True, True) or len(other.items) != 2):
            return False
    if len(gold.items) != len(answer.items):
        return False
    if gold.kind == "set":
        return _equal_items(_sorted(gold.items), _sorted(answer.items))
    # Compared with a tuple, a set keeps the order in which it was written.
    return _equal_items(gold.items, answer.items)


def _equal_items(one: Sequence[Number], other: Sequence[Number]) -> bool | None:
    verdicts = [_equal_numbers(*pair) for pair in zip(one, other, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def _sorted(items: Sequence[Number]) -> list[Number]:
    """By size. Raises Unsure if letters, or members that are too close, leave the order open."""
    ordered = sorted(items, key=size)
    sizes = [size(item) for item in ordered]
    if any(right - left < SAFE_GAP for left, right in pairwise(sizes)):
        raise Unsure
    return ordered


def _check_order(group: NumberGroup) -> None:
    if group.kind == "set":
        _sorted(group.items)
