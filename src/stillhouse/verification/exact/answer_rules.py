"""How an answer is compared with its reference, where a question or a recipe says more than *equal*."""

import json
from functools import lru_cache
from typing import Literal

from mpmath import mp, mpc
from pydantic import Field, ValidationError

from stillhouse.vocabulary.settings import StageConfig


class AnswerRules(StageConfig):
    """Tolerances, units and order; the default compares exactly, decimals to the digits that are written."""

    absolute: float | None = Field(None, ge=0)
    """Largest absolute difference from the reference that is still correct, as in OlympiadBench's column ``error``."""
    relative: float | None = Field(None, ge=0, le=1)
    """Largest difference from the reference as a share of it: 0.01 for one percent."""
    significant_digits: int | None = Field(None, ge=1, le=15)
    """Digits in which an answer must agree with the reference when both are rounded to them."""
    units: Literal["same", "required", "convert"] = "same"
    """``same``: a unit may be left out, but another one is wrong. ``required``: it may not be left out. ``convert``: 5 cm is 0.05 m."""
    ordered: bool = False
    """Whether the order of a list's values counts."""

    def tolerates(self, difference: float, reference: mpc) -> bool:
        """Whether a difference from the reference is within the tolerance, if there is one."""
        size = float(abs(reference))
        bounds = [self.absolute, None if self.relative is None else self.relative * size]
        if self.significant_digits is not None and size:
            bounds.append(0.5 * float(mp.mpf(10) ** (mp.floor(mp.log10(size)) - self.significant_digits + 1)))
        # A difference that is the tolerance in decimal may be a little more in binary.
        return any(bound is not None and difference <= bound * (1 + 1e-9) for bound in bounds)


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
        return AnswerRules(absolute=float(constraints))
    except ValidationError as error:
        raise BadAnswerRules(f"the tolerance {constraints!r} of a math question is negative") from error
    except ValueError:
        pass
    try:
        return AnswerRules.model_validate(json.loads(constraints))
    except ValueError as error:
        shown = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "not JSON"
        msg = f"constraints of a math question must be a tolerance or an object of {', '.join(AnswerRules.model_fields)}: {shown}, got {constraints!r}"
        raise BadAnswerRules(msg) from error
