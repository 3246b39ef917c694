r"""Equations and comparisons, against each other and against a single value."""

import re
from collections.abc import Callable, Sequence

from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact import high_precision, valuation
from stillhouse.verification.exact.expressions import Expression, symbols
from stillhouse.verification.exact.high_precision import Undefined
from stillhouse.verification.exact.numbers import same_number, same_quantity, signs_matter, ulp
from stillhouse.verification.exact.values import Combination, Group, Listing, NamedSet, Quantity, Relation, Value, Words

_NAME = re.compile(
    r"\\frac\{d[a-z]\}\{d[a-z]\}|(?:\\text\{[^{}]*\}|(?:\\(?:angle|triangle|overline|vec|hat|bar|mathbf|mathcal)\{?)?(?:\\?[A-Za-z]+)\}?)'*"
    r"(?:_(?:\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\w|\\[a-z]+))?'*(?:\^\{?(?:-1|\\prime|'|\*)\}?)?'*(?:\([^=<>]*\))?(?:\([^=<>]*\))?"
)
_TURNED = {"<": "<", "<=": "<=", ">": "<", ">=": "<=", "!=": "!=", "=": "=", "~": "=", "in": "in", "->": "->"}
_EQUATIONS = frozenset({"=", "~"})
TRIALS = 3

Same = Callable[[Value, Value], bool]


def is_assignment(relation: Relation) -> bool:
    """Whether a relation gives a value to a name: ``x = 5``, ``f(x) = 2x``, also ``5 = x``."""
    return set(relation.operators) <= _EQUATIONS and bool(label(relation))


def label(relation: Relation) -> str:
    """The name to which an equation gives a value; empty for other relations."""
    first, last = relation.texts[0], relation.texts[-1]
    if _NAME.fullmatch(first):
        return first.replace("{", "").replace("}", "")
    return last if re.fullmatch(r"\\?[A-Za-z](?:_\w)?", last) and not _has_letters(relation.members[0]) else ""


def right_side(relation: Relation) -> Value:
    """The value that an equation gives: its last side, or the first where the last is the name."""
    turned = not _NAME.fullmatch(relation.texts[0]) and label(relation)
    return relation.members[0] if turned else relation.members[-1]


def _has_letters(*members: Value) -> bool:
    return any(bool(symbols(member.expression) - valuation.CONSTANTS) for member in members if isinstance(member, Quantity))


def named_together(members: Sequence[Value], texts: Sequence[str]) -> Value | None:
    """``x = y = 3`` as ``x = 3`` and ``y = 3``; None for other chains."""
    *names, last = members
    if len(names) < 2 or len(set(texts[:-1])) < len(names) or not all(map(_is_name, names)):
        return None
    if not isinstance(last, Quantity) or symbols(last.expression) - valuation.CONSTANTS:
        return None
    return Listing(
        tuple(Relation((name, last), ("=",), (text, texts[-1])) for name, text in zip(names, texts[:-1], strict=True)), "and"
    )


def _is_name(value: Value) -> bool:
    return isinstance(value, Quantity) and value.expression.kind == "symbol" and value.expression.name not in valuation.CONSTANTS


def same_relation(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    """Whether two values are equal, at least one of which is a relation."""
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return _two_relations(gold, answer, same, rules)
    relation, value = (gold, answer) if isinstance(gold, Relation) else (answer, gold)
    assert isinstance(relation, Relation)
    if relation.operators == ("in",):
        return same(gold.members[1], answer) if relation is gold and isinstance(gold, Relation) else same(gold, relation.members[1])
    if not set(relation.operators) <= _EQUATIONS:
        return False
    if not is_assignment(relation) and not _is_true(relation, same):
        return False
    side = right_side(relation)
    if isinstance(value, Quantity | Group | Words | NamedSet | Combination) or type(value) is type(side):
        sides = [side, *_rounded(relation)]
        right = any(same(one, answer) if relation is gold else same(gold, one) for one in sides)
        return right and (relation is gold or _steps_hold(relation, same))
    return False


def _rounded(relation: Relation) -> Sequence[Value]:
    r"""What an equation rounds at its end: ``2\sqrt{3}`` of ``x = 2\sqrt{3} \approx 3.46``."""
    if relation.operators[-1] != "~" or not all(isinstance(member, Quantity) for member in relation.members[-2:]):
        return ()
    exact, last = relation.members[-2:]
    assert isinstance(exact, Quantity)
    assert isinstance(last, Quantity)
    if _has_letters(exact, last):
        return ()
    return (exact,) if same_quantity(exact, last, AnswerRules(relative=0.01)) else ()


def _steps_hold(relation: Relation, same: Same) -> bool:
    """Whether the exact numbers of a chain are equal: of ``x = 7 = 5`` the last is no answer. Rounded ones may differ."""
    numbers = [
        member for member in relation.members
        if isinstance(member, Quantity) and not symbols(member.expression) - valuation.CONSTANTS
        and member.expression.kind != "apply" and ulp(member.expression) is None
    ]  # fmt: skip
    return all(same(numbers[-1], number) for number in numbers[:-1])


def _is_true(relation: Relation, same: Same) -> bool:
    """Whether an equation without letters holds; a rounded value after an approximation sign need not be exact."""
    if _has_letters(*relation.members):
        return False
    return all(
        operator == "~" or same(one, other)
        for one, operator, other in zip(relation.members, relation.operators, relation.members[1:], strict=False)
    )


def _two_relations(gold: Relation, answer: Relation, same: Same, rules: AnswerRules) -> bool:
    if not (set(gold.operators) | set(answer.operators)) <= _EQUATIONS:
        return _same_comparison(gold, answer, same)
    if not _has_letters(*gold.members) and not is_assignment(gold):
        return _same_identity(gold, answer, same)
    if len(gold.members) == len(answer.members) > 2:
        # Of a chain such as x = a = b, every step is compared.
        return all(map(same, gold.members, answer.members))
    if label(gold) and (label(gold) == label(answer) or may_be_one_name(label(gold), label(answer))):
        return same(right_side(gold), right_side(answer)) and _steps_hold(answer, same)
    return _same_equation(gold, answer)


def may_be_one_name(one: str, other: str) -> bool:
    """Whether two names can be one: ``P`` and ``P(A)``, ``y`` and ``f(x)``."""
    if not one or not other:
        return False
    heads = {one.partition("(")[0], other.partition("(")[0]}
    if "(" not in one + other and len({re.sub(r"_\d$", "", name) for name in (one, other)}) == 1:
        # x = 1, 2 and x_1 = 1, x_2 = 2
        return ("_" in one) != ("_" in other)
    return (len(heads) == 1 and ("(" in one) != ("(" in other)) or (heads in ({"y", "f"}, {"y", "g"}) and "(" in one + other)


def _same_identity(gold: Relation, answer: Relation, same: Same) -> bool:
    r"""Both are equations of numbers, such as ``\log_3 27 = 3``: both sides must agree, and the answer must be true."""
    if _has_letters(*answer.members):
        return is_assignment(answer) and same(gold.members[-1], right_side(answer))
    sides = same(gold.members[-1], answer.members[-1]) and (
        same(gold.members[0], answer.members[0]) or "~" in gold.operators + answer.operators
    )
    return sides and _is_true(answer, same) and _same_left(gold, answer, same)


def _same_left(gold: Relation, answer: Relation, same: Same) -> bool:
    r"""Whether the left sides ask for the same: ``\log_2 8 = 3`` is as true as ``\log_3 27 = 3``, and another statement."""
    if gold.texts[0] == answer.texts[0]:
        return True
    one, other = gold.members[0], answer.members[0]
    if not (isinstance(one, Quantity) and isinstance(other, Quantity)):
        return same(one, other)
    return _numerals(one.expression) == _numerals(other.expression)


def _numerals(part: Expression) -> list[str]:
    own = [str(part.value)] if part.kind == "number" else []
    return sorted(own + [text for argument in part.arguments for text in _numerals(argument)])


def _same_comparison(gold: Relation, answer: Relation, same: Same) -> bool:
    """Chains of comparisons member by member, in either direction; of two sides also up to a positive factor."""
    if gold.operators == ("in",) == answer.operators:
        return gold.texts[0] == answer.texts[0] and same(gold.members[1], answer.members[1])
    one, other = _upwards(gold), _upwards(answer)
    if one.operators != other.operators:
        return False
    if len(one.members) == len(other.members) and all(map(same, one.members, other.members)):
        return True
    if one.operators == ("!=",) and all(map(same, one.members, other.members[::-1])):
        return True
    return len(one.members) == 2 and one.operators != ("in",) and _same_equation(one, other, directed=one.operators != ("!=",))


def _upwards(relation: Relation) -> Relation:
    if not set(relation.operators) <= {">", ">="}:
        return relation
    operators = tuple(_TURNED[operator] for operator in relation.operators[::-1])
    return Relation(relation.members[::-1], operators, relation.texts[::-1])


def _same_equation(gold: Relation, answer: Relation, *, directed: bool = False) -> bool:
    """Whether the sides' differences are proportional: ``2x + 2y = 4`` is ``y = 2 - x``. ``directed``: by a positive factor."""
    one, other = _difference(gold), _difference(answer)
    if one is None or other is None:
        return False
    names = (symbols(one) | symbols(other)) - valuation.CONSTANTS
    if not names:
        # Any two numbers are proportional.
        return False
    signed = signs_matter(one, other)
    ratios = []
    for trial in range(3 * TRIALS):
        point = {name: valuation.at(name, trial, signed=signed) for name in names}
        try:
            ratios.append(high_precision.divided(valuation.value(other, point), valuation.value(one, point)))
        except Undefined:
            continue
    if len(ratios) < TRIALS or not all(same_number(ratios[0], ratio, None, None) for ratio in ratios[1:]):
        return False
    if not high_precision.approximate(ratios[0]):
        return False
    return not directed or high_precision.approximate(ratios[0]).real > 0


def _difference(relation: Relation) -> Expression | None:
    if len(relation.members) != 2:
        return None
    left, right = relation.members
    if not (isinstance(left, Quantity) and isinstance(right, Quantity)):
        return None
    return Expression("+", (left.expression, Expression("negate", (right.expression,))))
