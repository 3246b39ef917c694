"""What a formula can be: an expression with its unit, words, a group in brackets, a relation, and so on."""

from dataclasses import dataclass
from typing import Union

from stillhouse.verification.exact.expressions import Expression


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression, with its unit's symbol (empty if there is none) and a percent sign.

    ``product`` is the other reading where the unit is a letter that may be a factor: ``3 m``.
    """

    expression: Expression
    unit: str = ""
    percent: bool = False
    product: Expression | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words, normalised: *yes*, a name, a date; or letters in their order, such as ABCD."""

    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Items in brackets; ``opening`` and ``closing`` are ``( [ {`` and ``) ] }``. Two items can be an interval."""

    opening: str
    closing: str
    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """``members`` and the operators between them: ``= < <= > >= != ~ in``. ``texts`` are the members' sources."""

    members: tuple["Value", ...]
    operators: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """``1:2:3``. ``clock`` if it can be a time of day; ``half`` is am, pm or empty."""

    parts: tuple["Value", ...]
    text: str
    clock: bool = False
    half: str = ""


@dataclass(frozen=True, slots=True)
class InBase:
    """Digits in a number base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Congruence:
    """``left`` (its source) leaves ``remainder`` when it is divided by ``modulus``."""

    left: str
    remainder: Quantity
    modulus: Quantity


@dataclass(frozen=True, slots=True)
class Ellipsis:
    """The dots of a list or a series that goes on."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries."""

    rows: tuple[tuple["Value", ...], ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """Sets combined from left to right: ``cup``, ``cap`` or ``setminus``."""

    parts: tuple["Value", ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedSet:
    """``R``, ``Z``, ``N``, ``Q``, ``C``, or ``empty``."""

    name: str


@dataclass(frozen=True, slots=True)
class Builder:
    """All values of ``variable`` that meet the conditions."""

    variable: str
    conditions: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Several values; ``word`` is *and*, *or* or a comma. The order counts if dots stand in it."""

    items: tuple["Value", ...]
    word: str


Value = Union[  # noqa: UP007 - a type alias of classes that name it
    Quantity, Words, Group, Relation, Ratio, InBase, Congruence, Ellipsis, Matrix, Combination, NamedSet, Builder, Listing
]
