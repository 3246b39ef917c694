"""Answers -> verdicts, one verifier to a category: in processes that can be killed, or by models that judge many at once."""

from dataclasses import replace
from types import ModuleType

from stillhouse.errors import BadRows
from stillhouse.verification import code, instruction_following, math
from stillhouse.verification.verdict import Request

VERIFIERS: dict[str, ModuleType] = {"math": math, "code": code, "instruction_following": instruction_following}
"""By category: a module with ``warm()``, ``settled(request)`` for what needs no process, and ``verify(request)`` for the rest.

It may have ``deadline_s(request, timeout_s)``, where a request takes longer than ``timeout_s``, and ``trimmed(request)``, which
leaves out more than the messages of what its worker is sent. Categories that models judge are in ``judges.JUDGES``.
"""


def verifier(category: str) -> ModuleType:
    """The category's verifier. Raises BadRows for a category that has none."""
    if category not in VERIFIERS:
        msg = f"no verifier for category {category!r}, only for {', '.join(VERIFIERS)}; keep such questions out"
        raise BadRows(msg)
    return VERIFIERS[category]


def deadline_s(request: Request, timeout_s: float) -> float:
    """Seconds a worker has for the request."""
    module = verifier(request.category)
    return float(module.deadline_s(request, timeout_s)) if hasattr(module, "deadline_s") else timeout_s


def trimmed(request: Request) -> Request:
    """What a worker is sent of the request."""
    module = verifier(request.category)
    made: Request = module.trimmed(request) if hasattr(module, "trimmed") else request
    return replace(made, messages=())
