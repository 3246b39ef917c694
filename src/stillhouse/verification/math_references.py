r"""The reference of a math question -> what an answer is compared with, or the reason why no rule reads it."""

import re
from dataclasses import dataclass
from functools import lru_cache

from stillhouse.verification import calculus_statements
from stillhouse.verification.exact import extraction, formulas, valuation
from stillhouse.verification.exact.expressions import Expression, symbols
from stillhouse.verification.exact.high_precision import Undefined
from stillhouse.verification.exact.lexing import Unreadable, Unreasonable
from stillhouse.verification.exact.number_words import NUMBER_WORDS
from stillhouse.verification.exact.spelling import readings, spelled
from stillhouse.verification.exact.values import Value

_DELIMITERS = re.compile(r"\\[()\[\]](?!\d)|\$")
_STATES = re.compile(
    r"(?:the )?(?:general |unique |only )?(?:solutions?|answers?)(?: set)? ?(?:is|are)? ?:? (?=\$|\\)", re.IGNORECASE
)
_LINES = re.compile(r"\$\s*\n\s*\$")
_CHOICE = re.compile(
    r"\\?\(?\s*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{\s*)?\(?\s*([A-J])\s*\)?\s*\.?\s*\}?\s*\\?\)?(?:(?:\\|~|\s)+(\S.*))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """``values``: its readings, of which the first is the usual one; empty if no rule reads it, for the reason in ``why``.

    ``identity``: its text in one spelling. ``letter``: that of a lettered choice. ``calculus``: math-verify reads it, if anyone.
    """

    text: str
    identity: str
    values: tuple[Value, ...] = ()
    letter: str = ""
    why: str = ""
    calculus: bool = False

    @property
    def readable(self) -> bool:
        """Whether a rule reads it, or may."""
        return bool(self.values or self.letter or self.calculus)

    @property
    def formula(self) -> str:
        """Its text without delimiters."""
        return undelimited(self.text)


@lru_cache(maxsize=4096)
def read_reference(text: str) -> Reference:
    """The reference, read whole: every formula of it, with the words between them."""
    text = unboxed(text)
    bare = undelimited(_STATES.sub("", text))
    key = identity(bare)
    if choice := _CHOICE.fullmatch(bare):
        if choice[2] is None and (len(bare) == 1 or "(" in bare or "{" in bare):
            return Reference(text, key, _readings(bare)[0], choice[1])
        if (
            choice[2] is not None
            and re.match(r"\(|\\text", bare)
            and not re.match(r"and\b|or\b|,|;|\\text ?\{ ?(?:and|or)", choice[2])
        ):
            return Reference(text, key, _readings(choice[2])[0], choice[1])
    values, why = _readings(bare)
    return Reference(text, key, values, why=why, calculus=not values and calculus_statements.is_one(bare))


def unboxed(text: str) -> str:
    """A reference's text; the content of its box if it has one."""
    text = text.strip()
    if "\\boxed" in text or "\\fbox" in text:
        boxed = extraction.candidates(text)
        return boxed[0].text if boxed else text
    return text


def undelimited(text: str) -> str:
    r"""A text without ``$``, ``\(`` and the like; an escaped dollar stays."""
    parts = re.split(r"(\\\$)", _LINES.sub(" ; ", text))
    return "".join(part if part == "\\$" else _DELIMITERS.sub(" ", part) for part in parts).strip()


def identity(text: str) -> str:
    """A text in one spelling, without spaces: what is identical is equal whatever it means."""
    return re.sub(r"\s", "", spelled(text) if len(text) <= formulas.LONGEST else text).removesuffix(".")


def _readings(text: str) -> tuple[tuple[Value, ...], str]:
    """The readings that have a value; a list such as ``100,200`` is read as a number first."""
    values: list[Value] = []
    why = ""
    for thousands in readings(text):
        try:
            value = formulas.read(text, thousands=thousands)
            evaluate(value)
        except (Unreadable, Unreasonable, Undefined, RecursionError) as error:
            why = why or str(error)
            continue
        if value not in values:
            values.append(value)
    return tuple(values), "" if values else why


def evaluate(value: Value) -> None:
    """Evaluate every expression of a value once. Raises Unreasonable, or Undefined where one has no value at all."""
    for part in expressions(value):
        names = symbols(part) - valuation.CONSTANTS
        if "infty" not in symbols(part):
            valuation.value(part, {name: valuation.at(name, 0) for name in names})


def expressions(value: object) -> list[Expression]:
    """All expressions of a value, whatever holds them."""
    if isinstance(value, Expression):
        return [value]
    if isinstance(value, tuple):
        return [part for item in value for part in expressions(item)]
    fields = getattr(type(value), "__dataclass_fields__", ())
    return [part for name in fields if name != "product" for part in expressions(getattr(value, name))]


def numerals(text: str) -> set[str]:
    """The numbers in a text, also those in words, as they are written."""
    words = {str(NUMBER_WORDS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in NUMBER_WORDS}
    return words | set(re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")))
