"""How an answer is compared with its reference, where a question or a recipe says more than *equal*."""

import json
from functools import lru_cache

from pydantic import ValidationError

from stillhouse.verification.config import AnswerRules

EXACT_RULES = AnswerRules()


class BadAnswerRules(ValueError):
    """The column ``constraints`` of a math question holds no rules of comparison."""


@lru_cache(maxsize=1024)
def answer_rules(constraints: str | None) -> AnswerRules:
    """The rules in a math question's column ``constraints``: an object of AnswerRules, or a number, the absolute tolerance.

    Raises BadAnswerRules.
    """
    if not constraints or not constraints.strip():
        return EXACT_RULES
    try:
        values = json.loads(constraints)
        return AnswerRules.model_validate({"absolute": values} if isinstance(values, int | float) else values)
    except ValueError as error:
        fields = ", ".join(AnswerRules.model_fields)
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is not JSON"
        msg = f"constraints of a math question must be an absolute tolerance or an object of {fields}; got {constraints!r}: {why}"
        raise BadAnswerRules(msg) from error


def as_constraints(rules: AnswerRules) -> str | None:
    """The rules as a math question's column ``constraints``; None for those that compare exactly."""
    return None if rules == EXACT_RULES else rules.model_dump_json(exclude_defaults=True)
