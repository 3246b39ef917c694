"""Are two quantities equal? Exactly, or to the digits that are written, or to the tolerance of the question."""

from fractions import Fraction
from math import floor

from mpmath import mp, mpf

from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact import high_precision, units, valuation
from stillhouse.verification.exact.answer_rules import EXACT_RULES
from stillhouse.verification.exact.conversion_of_units import converted
from stillhouse.verification.exact.expressions import Expression, calls, symbols
from stillhouse.verification.exact.high_precision import Number, Undefined
from stillhouse.verification.exact.regions import infinity
from stillhouse.verification.exact.values import Quantity

TRIALS = 3
MANY_TRIALS = 24
"""Trials of formulas with floors and the like, which agree at many values by chance."""
OF_WHOLE_NUMBERS = frozenset({"gcd", "lcm"})
LARGEST_DEGREE = 12
"""Of a root that may hide an absolute value."""
ROUNDED = frozenset({"floor", "ceil"})
FEWEST_DIGITS = 6
"""Significant digits from which a rounded number stands for an exact one: 0.333333 for 1/3."""
FEWEST_OF_REFERENCE = 4
"""Significant digits from which a reference's decimal stands for an answer with roots or pi: 12.57 for 4 pi."""
SAME = mpf(10) ** -45
"""Largest relative difference of two values in 60 digits that are the same."""
ROUNDING = mpf(10) ** -12
"""Largest relative difference that a computer's rounding leaves in a decimal of as many digits: 0.30000000000000004 is 0.3."""


def same_quantity(gold: Quantity, answer: Quantity, rules: AnswerRules = EXACT_RULES) -> bool:
    """Whether an answer is the reference's quantity. Raises what ``valuation.value`` raises."""
    if gold.product is not None and not answer.unit and symbols(answer.expression) - valuation.CONSTANTS:
        gold = Quantity(gold.product, percent=gold.percent)
    if answer.product is not None and not gold.unit and symbols(gold.expression) - valuation.CONSTANTS:
        answer = Quantity(answer.product, percent=answer.percent)
    gold, answer = _in_radians(gold, answer), _in_radians(answer, gold)
    factor = _unit_factor(gold.unit, answer.unit, rules)
    if factor is None:
        return False
    expression = answer.expression
    if factor != 1:
        expression = Expression("*", (expression, Expression("number", value=factor)))
    return any(
        same_expression(_scaled(gold.expression, of_gold), _scaled(expression, of_answer), rules)
        for of_gold, of_answer in _percents(gold, answer)
    )


def _in_radians(part: Quantity, other: Quantity) -> Quantity:
    r"""Degrees as a number where the other one is a multiple of pi without a unit: ``30^\circ`` is ``\frac\pi6``."""
    if part.unit != "deg" or other.unit not in ("", "rad") or "pi" not in symbols(other.expression):
        return part
    return Quantity(Expression("call", (part.expression,), "degrees"), "rad" if other.unit else "")


def _unit_factor(gold: str, answer: str, rules: AnswerRules) -> Fraction | None:
    """What the answer is multiplied by to be in the reference's unit; None if the units do not agree."""
    one, other = units.dimensions(gold), units.dimensions(answer)
    if one == other:
        return Fraction(1)
    if one.pop("unit", None) and other.pop("unit", None):
        # Units against square units.
        return None
    other.pop("unit", None)
    if one == other:
        return Fraction(1)
    if not one or not other:
        return None if rules.units == "required" and one else Fraction(1)
    return converted(gold, answer) if rules.units == "convert" else None


def _percents(gold: Quantity, answer: Quantity) -> list[tuple[int, int]]:
    """The divisors to compare with: 62.5 % is 0.625, and as an answer to *what percent* also 62.5."""
    if gold.percent == answer.percent:
        return [(1, 1)]
    if gold.percent:
        return [(1, 1), (100, 1)]
    is_formula = bool(symbols(gold.expression) - valuation.CONSTANTS)
    return [(1, 100)] if is_formula or _is_below_1(gold.expression) else [(1, 100), (1, 1)]


def _is_below_1(part: Expression) -> bool:
    """Whether an expression is a number between -1 and 1, which no percentage is meant by."""
    if symbols(part) - valuation.CONSTANTS or "infty" in symbols(part):
        return False
    number = _value(part, {})
    return number is not None and abs(high_precision.approximate(number)) < 1


def _scaled(expression: Expression, divisor: int) -> Expression:
    if divisor == 1:
        return expression
    if expression.kind == "number":
        ulp = None if expression.ulp is None else expression.ulp / divisor
        return Expression("number", value=expression.value / divisor, ulp=ulp)
    return Expression("/", (expression, Expression("number", value=Fraction(divisor))))


def same_expression(gold: Expression, answer: Expression, rules: AnswerRules = EXACT_RULES) -> bool:
    """Whether two expressions have equal values whatever their letters stand for."""
    if gold == answer:
        return True
    ends = infinity(gold), infinity(answer)
    if any(ends):
        return ends[0] == ends[1]
    of_gold, of_answer = (symbols(part) - valuation.CONSTANTS for part in (gold, answer))
    if not of_gold and not of_answer:
        return same_number(valuation.value(gold, {}), _value(answer, {}), ulp(gold), ulp(answer), rules)
    if bool(of_gold) != bool(of_answer) and not _may_cancel(gold if of_gold else answer):
        return False
    return _same_in_trials(gold, answer, of_gold | of_answer, rules)


def _may_cancel(part: Expression) -> bool:
    """Whether letters can fall out of an expression: not of a lone letter."""
    return part.kind != "symbol"


def _value(part: Expression, point: valuation.Point) -> Number | None:
    try:
        return valuation.value(part, point)
    except Undefined:
        return None


def _same_in_trials(gold: Expression, answer: Expression, names: set[str], rules: AnswerRules) -> bool:
    """Equal at random values of the letters; of both signs if an absolute value is taken, for which signs matter."""
    functions = calls(gold) | calls(answer)
    functions |= {"abs"} if signs_matter(gold, answer) else set()
    trials = MANY_TRIALS if functions & (OF_WHOLE_NUMBERS | ROUNDED) else TRIALS
    compared = 0
    for trial in range(3 * trials):
        point = {name: _in_trial(name, trial, functions) for name in names}
        one, other = _value(gold, point), _value(answer, point)
        if one is None and other is None:
            continue
        if one is None or other is None or not same_number(one, other, ulp(gold), ulp(answer), rules):
            return False
        compared += 1
        if compared == trials:
            return True
    if not compared:
        msg = "at every value of the letters that was tried"
        raise Undefined(msg)
    return True


def signs_matter(*parts: Expression) -> bool:
    """Whether an absolute value is taken in an expression, so that it has to be tried at values of both signs."""
    functions = set().union(*map(calls, parts))
    return "abs" in functions or (bool(functions & {"sqrt", "^"}) and any(map(_hides_absolute_value, parts)))


def _hides_absolute_value(part: Expression) -> bool:
    r"""Whether a square root in an expression falls out whatever its letters stand for: ``\sqrt{x^2}`` is ``|x|``, and not x."""
    if any(map(_hides_absolute_value, part.arguments)):
        return True
    names = symbols(part)
    if not names or names & valuation.CONSTANTS or (part.kind, part.name) not in (("call", "sqrt"), ("^", "")):
        return False
    radicand, degree = part.arguments[0], _root_degree(part)
    if degree is None or degree % 2 or radicand.kind == "symbol":
        return False
    values = [_value(radicand, {name: valuation.at(name, trial) for name in names}) for trial in range(TRIALS)]
    return all(isinstance(value, Fraction) and _is_power(value, degree) for value in values)


def _root_degree(part: Expression) -> int | None:
    """The degree of a root, also of one that is written as a power of 1/2; None for other powers."""
    if part.kind == "call" and len(part.arguments) == 1:
        return 2
    exponent = part.arguments[1]
    if symbols(exponent):
        return None
    number = _value(exponent, {})
    if not isinstance(number, Fraction) or not number:
        return None
    degree = number if part.kind == "call" else 1 / number
    return int(degree) if degree.denominator == 1 and 2 <= degree <= LARGEST_DEGREE else None


def _is_power(number: Fraction, degree: int) -> bool:
    """Whether a number is a fraction's power of this degree."""
    if number < 0:
        return False
    return all(round(mp.root(part, degree)) ** degree == part for part in (number.numerator, number.denominator))


def _in_trial(name: str, trial: int, functions: set[str]) -> Fraction:
    """The value of a letter in a trial of expressions that call these functions."""
    if functions & OF_WHOLE_NUMBERS:
        return valuation.whole_at(name, trial)
    if functions & ROUNDED:
        return valuation.long_at(name, trial)
    return valuation.at(name, trial, signed="abs" in functions)


def same_number(
    gold: Number, answer: Number | None, gold_ulp: Fraction | None, answer_ulp: Fraction | None, rules: AnswerRules = EXACT_RULES
) -> bool:  # fmt: skip
    """Whether two numbers are equal; ``ulp`` is one unit of the last digit of a rounded one, None for an exact one."""
    if answer is None:
        return False
    if isinstance(gold, Fraction) and isinstance(answer, Fraction) and gold == answer:
        return True
    one, other = high_precision.approximate(gold), high_precision.approximate(answer)
    difference, size = abs(one - other), max(abs(one), abs(other))
    same = difference <= SAME * size and not (isinstance(gold, Fraction) and isinstance(answer, Fraction))
    if same or _tolerated(rules, difference, abs(one)):
        return True
    if gold_ulp is None and answer_ulp is None:
        return False
    of_reference = gold_ulp is not None and answer_ulp is None and not isinstance(answer, Fraction)
    return _same_rounded(difference, size, gold_ulp, answer_ulp, FEWEST_OF_REFERENCE if of_reference else FEWEST_DIGITS)


def _tolerated(rules: AnswerRules, difference: mpf, size: mpf) -> bool:
    """Whether a difference from a reference of this size is within the question's tolerance, if it has one."""
    bounds = [rules.absolute, None if rules.relative is None else rules.relative * size]
    if rules.significant_digits is not None and size:
        bounds.append(mpf(10) ** (mp.floor(mp.log10(size)) - rules.significant_digits + 1) / 2)
    # A difference that is the tolerance in decimal may be a little more in binary.
    return any(bound is not None and difference <= bound * (1 + mpf(10) ** -9) for bound in bounds)


def _same_rounded(difference: mpf, size: mpf, gold_ulp: Fraction | None, answer_ulp: Fraction | None, fewest: int) -> bool:
    """Whether the number with fewer digits is the other one rounded, and has the ``fewest`` significant digits."""
    coarser = max(number for number in (gold_ulp, answer_ulp) if number is not None)
    finer = min(number for number in (gold_ulp, answer_ulp) if number is not None)
    is_computed = finer.numerator <= size * ROUNDING * finer.denominator
    if is_computed and difference <= size * ROUNDING:
        return True
    if size == 0 or difference * 2 * coarser.denominator > coarser.numerator * (1 + SAME):
        return False
    leading = floor(mp.log10(size))
    return bool(leading - mp.log10(mpf(coarser.numerator) / coarser.denominator) + 1 >= fewest - mpf(1) / 1000)


def ulp(part: Expression) -> Fraction | None:
    """One unit of the last digit of a number that is written with a decimal point, also of one times a power of ten."""
    if part.kind == "number":
        return part.ulp
    if part.kind == "negate":
        return ulp(part.arguments[0])
    if part.kind not in ("*", "/"):
        return None
    mantissa, scale = part.arguments
    digit = ulp(mantissa)
    if digit is None or symbols(scale):
        return None
    factor = valuation.value(scale, {})
    if not isinstance(factor, Fraction) or not factor:
        return None
    return abs(digit * factor if part.kind == "*" else digit / factor)
