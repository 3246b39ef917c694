r"""Letters that may be called otherwise: constants of integration, whole numbers that are any, arguments of a function.

``x^2 + C`` is ``x^2 + K``, ``\frac\pi4 + k\pi, k \in \mathbb{Z}`` is ``\frac\pi4 + n\pi``, ``f(x) = x + 1`` is ``f(t) = t + 1``.
"""

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

from mpmath import mpf

from stillhouse.verification.exact import valuation
from stillhouse.verification.exact.expressions import Expression, symbols
from stillhouse.verification.exact.high_precision import Undefined, approximate
from stillhouse.verification.exact.special_equivalence import replaced
from stillhouse.verification.exact.values import Listing, NamedSet, Quantity, Relation, Value

_CONSTANTS = frozenset({"C", "K", "c", "k", "A", "B", "D", "C_1", "c_1", "C_0", "c_0", "K_1", "k_1", "C_2", "c_2"})
_OF_INTEGRATION = frozenset({"C", "C_1", "c_1", "C_0", "c_0", "c", "K"})
"""One of both letters must be among these."""
_WHOLE = frozenset({"k", "n", "m", "l", "j", "t", "p", "q", "r", "s", "N", "K"})
_WHOLE_SETS = frozenset({"Z", "N"})
_SAME = mpf(10) ** -40
_OF_ARGUMENT = re.compile(r"([fghFGH])\(([A-Za-z])\)")
_DEFINED = re.compile(r"([A-Za-z])(?:\(([a-z])\)|_\{?([a-z])\}?)")
"""``f(x)``, ``a_n``; the capital in P(A) is no argument."""


def same_up_to_names(gold: Value, answer: Value) -> tuple[Value, Value] | None:
    """Both, with the answer's free letters called as the reference calls them; None if no letter may be called otherwise."""
    gold, of_gold = _without_ranges(gold)
    answer, of_answer = _without_ranges(answer)
    if of_gold:
        return _parameters(gold, answer, of_gold, of_answer)
    if of_answer:
        return _with_whole_number(gold, answer, of_answer)
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return _definitions(gold, answer)
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return _constants(gold, answer)
    return None


def called_as(gold: Value, answer: Value) -> Value:
    """An answer ``g(x) = …`` as ``f(x) = …`` where that is what the whole reference defines; other answers as they are."""
    if not isinstance(gold, Relation) or not isinstance(answer, Relation):
        return answer
    of_gold, of_answer = _OF_ARGUMENT.fullmatch(gold.texts[0]), _OF_ARGUMENT.fullmatch(answer.texts[0])
    if of_gold is None or of_answer is None or of_gold[1] in answer.texts[-1] or of_answer[1] in gold.texts[-1]:
        return answer
    left = f"{of_gold[1]}({of_answer[2]})"
    return replace(answer, members=(_called(answer.members[0], of_gold[1]), *answer.members[1:]), texts=(left, *answer.texts[1:]))


def _called(value: Value, name: str) -> Value:
    if isinstance(value, Quantity) and value.expression.kind == "apply":
        return replace(value, expression=replace(value.expression, name=name))
    return value


def _without_ranges(value: Value) -> tuple[Value, dict[str, str]]:
    r"""A value without members such as ``k \in \mathbb{Z}``, and what they say: letter -> set."""
    if not isinstance(value, Listing):
        return value, {}
    ranges, kept = {}, []
    for item in value.items:
        inside = item.members[1] if isinstance(item, Relation) and item.operators == ("in",) else None
        if isinstance(item, Relation) and isinstance(inside, NamedSet) and inside.name in _WHOLE_SETS:
            ranges[item.texts[0]] = inside.name
        else:
            kept.append(item)
    if not ranges or not kept:
        return value, {}
    return kept[0] if len(kept) == 1 else replace(value, items=tuple(kept)), ranges


def _parameters(gold: Value, answer: Value, of_gold: dict[str, str], of_answer: dict[str, str]) -> tuple[Value, Value] | None:
    """Both without the ranges of their whole numbers; an answer need not say that its letter is a whole number."""
    if len(of_gold) != 1 or len(of_answer) > 1:
        return None
    (name, numbers), names = next(iter(of_gold.items())), _letters(answer)
    others = set(of_answer) or (names & {name}) or ((names - _letters(gold)) & _WHOLE)
    if len(others) != 1 or (of_answer and set(of_answer.values()) != {numbers}):
        return None
    other = others.pop()
    if other != name and name in names:
        return None
    renamed = _renamed(answer, other, name)
    return (
        (gold, gold) if numbers == "Z" and _same_name(gold, renamed) and _same_progression(gold, renamed, name) else (gold, renamed)
    )


def _same_name(gold: Value, answer: Value) -> bool:
    """Whether two equations give a value to the same letter; a bare value is one of any."""
    return not (isinstance(gold, Relation) and isinstance(answer, Relation)) or gold.texts[0] == answer.texts[0]


def _with_whole_number(gold: Value, answer: Value, of_answer: dict[str, str]) -> tuple[Value, Value] | None:
    r"""Both without the range of a whole number that only the answer states: ``2k\pi`` and ``2n\pi, n \in \mathbb{Z}``."""
    ours = _letters(gold)
    if len(of_answer) != 1 or len(ours) != 1 or not ours <= _WHOLE or _letters(answer) != set(of_answer):
        return None
    return gold, _renamed(answer, next(iter(of_answer)), next(iter(ours)))


def _same_progression(gold: Value, answer: Value, name: str) -> bool:
    """Whether ``a + bk`` takes the same values for all whole k: another sign of b, or another start."""
    lines = [_line(part, name) for part in (_side(gold), _side(answer))]
    if lines[0] is None or lines[1] is None:
        return False
    (start, step), (other_start, other_step) = lines[0], lines[1]
    turns = (other_start - start) / step
    return bool(abs(abs(other_step / step) - 1) < _SAME and abs(turns - round(turns.real)) < _SAME)


def _line(part: Value, name: str) -> tuple[Any, Any] | None:
    """The value at 0 and the step of an expression that is linear in its only letter; None for others."""
    if not isinstance(part, Quantity) or symbols(part.expression) - valuation.CONSTANTS != {name}:
        return None
    try:
        values = [approximate(valuation.value(part.expression, {name: Fraction(whole)})) for whole in range(3)]
    except Undefined:
        return None
    step = values[1] - values[0]
    return (values[0], step) if step and abs(values[2] - values[1] - step) < _SAME else None


def _definitions(gold: Relation, answer: Relation) -> tuple[Value, Value] | None:
    """``f(x) = …`` and ``f(t) = …``, ``a_n = …`` and ``a_k = …``: the answer with the reference's argument."""
    of_gold, of_answer = _DEFINED.fullmatch(gold.texts[0]), _DEFINED.fullmatch(answer.texts[0])
    if of_gold is None or of_answer is None or of_gold[1] != of_answer[1] or bool(of_gold[2]) != bool(of_answer[2]):
        return _constants(gold, answer)
    name, other = of_gold[2] or of_gold[3], of_answer[2] or of_answer[3]
    if name == other or name in _letters(answer.members[-1]):
        return _constants(gold, answer)
    renamed = _renamed(answer, other, name)
    assert isinstance(renamed, Relation)
    return gold, replace(renamed, texts=(gold.texts[0], *answer.texts[1:]))


def _constants(gold: Value, answer: Value) -> tuple[Value, Value] | None:
    """Both with the reference's constant of integration, where that is the only letter in which they differ."""
    ours, theirs = _letters(_side(gold)), _letters(_side(answer))
    names, others = ours - theirs, theirs - ours
    if len(names) != 1 or len(others) != 1 or not names | others <= _CONSTANTS or not (names | others) & _OF_INTEGRATION:
        return None
    name, side = names.pop(), _side(gold)
    if not isinstance(side, Quantity) or not (_is_added(side.expression, name) or "e" in symbols(side.expression)):
        return None
    return gold, _renamed(answer, others.pop(), name)


def _is_added(part: Expression, name: str) -> bool:
    """Whether a letter is one of the terms of a sum."""
    if part.kind != "+":
        return False
    return any(_is_added(argument, name) or (argument.kind, argument.name) == ("symbol", name) for argument in part.arguments)


def _side(value: Value) -> Value:
    """The value that an equation gives, or the value itself."""
    return value.members[-1] if isinstance(value, Relation) and value.operators == ("=",) else value


def _letters(value: Value) -> set[str]:
    if isinstance(value, Quantity):
        return symbols(value.expression) - valuation.CONSTANTS
    parts = value.members if isinstance(value, Relation) else value.items if isinstance(value, Listing) else ()
    return set().union(*map(_letters, parts))


def _renamed(value: Value, name: str, other: str) -> Value:
    if name == other:
        return value
    if isinstance(value, Quantity):
        return replace(value, expression=replaced(value.expression, name, other), product=None)
    if isinstance(value, Relation):
        return replace(value, members=tuple(_renamed(member, name, other) for member in value.members))
    if isinstance(value, Listing):
        return replace(value, items=tuple(_renamed(item, name, other) for item in value.items))
    return value
