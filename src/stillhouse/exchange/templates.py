"""Jinja in a sandbox: templates and expressions over the columns of a row. No file or module of Python's can be reached."""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stillhouse.errors import BadConfig
from stillhouse.exchange.bad_rows import Object
from stillhouse.exchange.record import Unfit

MARKS = ("{{", "{%")
FILE_NAME = "_file"
"""The column that holds the name of the row's file."""
ROW = "row"
"""The variable that holds the whole row: ``row["Correct Answer"]`` is a column whose name is no identifier."""
_BY_NAME = re.compile(rf"\b{ROW}\[\s*(['\"])(.*?)\1\s*\]")


def _matching(text: Any, pattern: str, group: int = 0) -> str:
    """The first match of a pattern in the text, or one of its groups; empty without a match."""
    match = re.search(pattern, str(text))
    return (match[group] or "") if match else ""


_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
_ENVIRONMENT.filters |= {"matching": _matching, "fromjson": json.loads}
_ENVIRONMENT.globals.clear()
_RAISED = (
    TemplateError, SecurityError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, re.error,
)  # fmt: skip
"""What a template or an expression may raise on a row."""


def is_template(text: str) -> bool:
    """Whether a column is given as a template, not as a path."""
    return any(mark in text for mark in MARKS)


def compiled(template: str, field: str) -> Callable[[Object], str]:
    """A function that renders a row. It raises Unfit; this one raises BadConfig for a template that cannot be read."""
    try:
        rendered = _ENVIRONMENT.from_string(template).render
    except TemplateSyntaxError as error:
        raise _unreadable(template, field, error) from error

    def text(row: Object) -> str:
        try:
            return rendered({ROW: row} | row).strip()
        except _RAISED as error:
            raise _unfit(template, error, row) from error

    return text


def condition(expression: str, field: str) -> Callable[[Object], bool]:
    """A function that says whether a row fulfils the expression. Raises like ``compiled``."""
    try:
        value = _ENVIRONMENT.compile_expression(expression, undefined_to_none=False)
    except TemplateSyntaxError as error:
        raise _unreadable(expression, field, error) from error

    def holds(row: Object) -> bool:
        try:
            return bool(value({ROW: row} | row))
        except _RAISED as error:
            raise _unfit(expression, error, row) from error

    return holds


@cache
def columns(template: str) -> frozenset[str]:
    """The columns that a template names; none for one that cannot be read."""
    try:
        by_variable: set[str] = meta.find_undeclared_variables(_ENVIRONMENT.parse(template))
        return frozenset(by_variable | {match[2] for match in _BY_NAME.finditer(template)})
    except TemplateSyntaxError:
        return frozenset()


def named(row: Object) -> str:
    """The names of a row's columns, without those that we added."""
    return ", ".join(str(name) for name in row if name != FILE_NAME)


def _unreadable(text: str, field: str, error: TemplateSyntaxError) -> BadConfig:
    return BadConfig(f"{field}: {text!r} is not Jinja: {error.message}; write {{{{ column }}}} in a template, column > 3 in where")


def _unfit(text: str, error: Exception, row: Object) -> Unfit:
    reason = "bad_column" if isinstance(error, UndefinedError) else "bad_value"
    has = f"; the row has {named(row)}" if reason == "bad_column" else ""
    return Unfit(f"{text!r}: {' '.join(str(error).split())}{has}", reason)
