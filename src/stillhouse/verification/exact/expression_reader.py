r"""Tokens -> an expression: numbers, letters, ``+ - * / ^``, roots, functions, factorials, binomials, absolute values.

Juxtaposed factors are a product, except after a function's name (``\sin 2x``) and after *f*, *g* and *h* with a bracket, which are
unknown functions. Two numbers side by side are no product. ``i`` and ``e`` are the constants.
"""

from fractions import Fraction

from stillhouse.verification.exact.expressions import Expression, number
from stillhouse.verification.exact.lexing import CLOSING, Token, Tokens, Unreadable, source
from stillhouse.verification.exact.notation import ACCENTS, APPLIED, FUNCTIONS, ROMAN, SYMBOLS

_PRODUCT = frozenset({"*", "\\cdot", "\\times"})
_ENDS = frozenset({"", "+", "-", "\\pm", "\\mp", ",", ";", "|", "\\rfloor", "\\rceil", *CLOSING})


def expression(listed: Tokens) -> Expression:
    """The expression that all of the tokens are. Raises Unreadable, or Unreasonable for an exponent beyond every use."""
    reader = _ExpressionReader(listed)
    result = reader.total()
    if reader.peek():
        msg = f"{reader.peek()!r} after a formula"
        raise Unreadable(msg)
    return result


class _ExpressionReader:
    """Recursive descent over tokens."""

    def __init__(self, listed: Tokens) -> None:
        self._tokens = listed
        self._index = 0

    def peek(self, ahead: int = 0) -> str:
        r"""The text of the next token; empty at the end. A text is shown as ``\text``."""
        token = self._token(ahead)
        return "" if token is None else "\\text" if token.kind in ("text", "word") else token.text

    def _token(self, ahead: int = 0) -> Token | None:
        return self._tokens[self._index + ahead] if self._index + ahead < len(self._tokens) else None

    def _take(self, wanted: str = "") -> Token:
        token = self._token()
        if token is None or (wanted and token.text != wanted):
            msg = f"expected {wanted or 'more'}, got {self.peek() or 'the end'!r}"
            raise Unreadable(msg)
        self._index += 1
        return token

    def total(self) -> Expression:
        """Terms joined by signs."""
        first = self._signed()
        while self.peek() in ("+", "-", "\\pm", "\\mp"):
            sign = self._take().text
            term = self._signed()
            if sign in ("\\pm", "\\mp"):
                first = Expression("+", (first, Expression("plus_minus", (term,), sign)))
            else:
                first = Expression("+", (first, Expression("negate", (term,)) if sign == "-" else term))
        return first

    def _signed(self) -> Expression:
        sign = self._take().text if self.peek() in ("+", "-", "\\pm", "\\mp") else "+"
        if sign == "+":
            return self._product()
        term = self._signed()
        return Expression("negate", (term,)) if sign == "-" else Expression("plus_minus", (term,), sign)

    def _product(self) -> Expression:
        result = self._power()
        while self.peek() not in _ENDS:
            operator = self._take().text if self.peek() in _PRODUCT or self.peek() == "/" else ""
            if not operator and self._is_number() and not self._may_multiply():
                msg = "a number after a factor"
                raise Unreadable(msg)
            factor = self._signed_factor() if operator else self._power()
            result = Expression("/" if operator == "/" else "*", (result, factor))
        return result

    def _signed_factor(self) -> Expression:
        """A factor after an operator: it may have a sign."""
        if self.peek() == "-":
            self._take()
            return Expression("negate", (self._power(),))
        return self._power()

    def _is_number(self) -> bool:
        token = self._token()
        return token is not None and token.kind == "number"

    def _may_multiply(self) -> bool:
        """Whether a number here is a factor: after a bracket or a factorial, or where it has an exponent."""
        return self._tokens[self._index - 1].text in ("!", ")") or self.peek(1) == "^"

    def _power(self) -> Expression:
        base = self._atom()
        while (mark := self.peek()) in ("!", "^", "%", "'"):
            self._take()
            if mark == "!":
                base = Expression("call", (base,), self._factorial())
            elif mark == "%":
                self._only_once("%")
                base = Expression("/", (base, Expression("number", value=Fraction(100))))
            elif mark == "'":
                base = Expression("call", (base,), "prime")
            elif self.peek() in ("\\circ", "\\prime"):
                base = Expression("call", (base,), "degrees" if self._take().text == "\\circ" else "prime")
            else:
                base = Expression("^", (base, self._exponent()))
        return base

    def _factorial(self) -> str:
        """The function of a factorial's marks: one or two."""
        if self.peek() != "!":
            return "factorial"
        self._take()
        self._only_once("!")
        return "double_factorial"

    def _only_once(self, mark: str) -> None:
        if self.peek() == mark:
            msg = f"{mark!r} after {mark!r}"
            raise Unreadable(msg)

    def _exponent(self) -> Expression:
        if self.peek() == "{":
            return self._braced()
        if self.peek() in ("-", "+"):
            sign = self._take().text
            return Expression("negate", (self._atom(),)) if sign == "-" else self._atom()
        token = self._token()
        if token is not None and token.kind == "number" and len(token.text) > 1 and token.text[0] != "0":
            # TeX takes one digit, a person who writes without braces means all of them.
            return number(self._take().text)
        exponent = self._atom()
        if self.peek() == "^":
            self._take()
            exponent = Expression("^", (exponent, self._exponent()))
        return exponent

    def _braced(self) -> Expression:
        """An argument of a command: in braces, or one token."""
        if self.peek() != "{":
            token = self._token()
            if token is not None and token.kind == "number":
                return self._digit()
            return self._atom()
        self._take("{")
        content = self.total()
        self._take("}")
        return content

    def _digit(self) -> Expression:
        r"""The first digit of the next number, as ``\frac12`` takes them."""
        token = self._take()
        if not token.text.isdigit():
            msg = f"{token.text!r} without braces"
            raise Unreadable(msg)
        if len(token.text) > 1:
            self._index -= 1
            self._tokens = [*self._tokens[: self._index], Token("number", token.text[1:]), *self._tokens[self._index + 1 :]]
        return number(token.text[0])

    def _atom(self) -> Expression:
        token = self._take()
        if token.kind == "number":
            return number(token.text)
        if token.kind == "text":
            return self._roman(token.text.strip())
        if token.text in ("(", "[", "{"):
            content = self.total()
            self._take({"(": ")", "[": "]", "{": "}"}[token.text])
            return content
        if token.text == "|":
            content = self.total()
            self._take("|")
            return Expression("call", (content,), "abs")
        if token.kind == "name":
            return self._named(token.text)
        msg = f"{token.text!r}"
        raise Unreadable(msg)

    def _roman(self, text: str) -> Expression:
        """Upright letters: constants, functions, and single letters; words are not read."""
        if text in FUNCTIONS:
            return self._call(text)
        if len(text) == 1 and text.isalpha():
            return self._symbol(text)
        if text in ROMAN:
            return Expression("symbol", name="pi")
        msg = f"the words {text!r}"
        raise Unreadable(msg)

    def _named(self, name: str) -> Expression:
        if not name.startswith("\\"):
            if name in APPLIED and self.peek() == "(":
                return Expression("apply", self._list(), name)
            return self._symbol(name)
        bare = name[1:]
        if bare in FUNCTIONS:
            return self._call(bare)
        if bare in ("frac", "binom", "sqrt", "lfloor", "lceil"):
            return self._command(bare)
        if bare in ACCENTS:
            self._index -= 1
            return self._accented()
        if bare in SYMBOLS:
            return self._symbol(bare)
        msg = f"the command {name}"
        raise Unreadable(msg)

    def _command(self, name: str) -> Expression:
        if name == "frac":
            top = self._braced()
            return Expression("/", (top, self._braced()))
        if name == "binom":
            top = self._braced()
            return Expression("call", (top, self._braced()), "binom")
        if name in ("lfloor", "lceil"):
            content = self.total()
            self._take(f"\\r{name[1:]}")
            return Expression("call", (content,), name[1:])
        degree: Expression | None = None
        if self.peek() == "[":
            self._take()
            degree = self.total()
            self._take("]")
        radicand = self._braced()
        return Expression("call", (radicand, degree) if degree else (radicand,), "sqrt")

    def _call(self, name: str) -> Expression:
        r"""A function: its base or power, then its argument; ``\sin^{-1}`` is the inverse."""
        base = power = None
        while self.peek() in ("_", "^"):
            if self._take().text == "_":
                base = self._braced()
            else:
                power = self._exponent()
        arguments = self._arguments()
        if base is not None:
            arguments = (*arguments, base)
        result = Expression("call", arguments, name)
        if power is None:
            return result
        if power.kind == "negate" and power.arguments[0].value == 1 and name in ("sin", "cos", "tan"):
            return Expression("call", arguments, f"arc{name}")
        if power.kind == "negate":
            msg = f"\\{name} to a negative power"
            raise Unreadable(msg)
        return Expression("^", (result, power))

    def _arguments(self) -> tuple[Expression, ...]:
        if self.peek() == "(":
            return self._list()
        if self.peek() == "{":
            return (self._braced(),)
        argument = self._signed_factor()
        while self.peek() not in _ENDS | _PRODUCT | {"/"} and not self._starts_function() and not self._is_number():
            argument = Expression("*", (argument, self._power()))
        return (argument,)

    def _starts_function(self) -> bool:
        token = self._token()
        return token is not None and (token.text.removeprefix("\\") in FUNCTIONS or token.text in ("(", "["))

    def _list(self) -> tuple[Expression, ...]:
        self._take("(")
        items = [self.total()]
        while self.peek() == ",":
            self._take()
            items.append(self.total())
        self._take(")")
        return tuple(items)

    def _accented(self) -> Expression:
        name = self._take().text
        start = self._index
        self._braced_source()
        return self._symbol(name + source(self._tokens[start : self._index]))

    def _symbol(self, name: str) -> Expression:
        if self.peek() == "_":
            self._take()
            name = f"{name}_{self._braced_source()}"
        if name in APPLIED and self.peek() == "(":
            return Expression("apply", self._list(), name)
        return Expression("symbol", name=name)

    def _braced_source(self) -> str:
        """The text of a subscript, whatever it is; a plain letter and an upright one are the same."""
        if self.peek() != "{":
            return self._take().text.strip()
        start, depth = self._index, 0
        while True:
            token = self._take()
            depth += (token.text == "{") - (token.text == "}")
            if depth == 0:
                return "".join(token.text.strip() for token in self._tokens[start + 1 : self._index - 1])
