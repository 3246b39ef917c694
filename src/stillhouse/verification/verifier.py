"""The seam between a category and the rule that scores its answers; and the table of built-in rules."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from stillhouse.errors import BadConfig, BadRows
from stillhouse.execution import extensions
from stillhouse.verification.verdict import Verdict, VerificationRequest, unanswered
from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.packages import Libraries
from stillhouse.vocabulary.rows import Question


@dataclass(frozen=True)
class KnownAnswer:
    """An answer whose verdict is known in advance; ``passes`` is None if any verdict will do."""

    name: str
    answer: str
    passes: bool | None


class Verifier(Protocol):
    """A rule that scores answers. Subclass it and write ``verify``; override the other methods if their defaults do not fit.

    The verifier is constructed without arguments, once in the stage's process and once in every worker.
    """

    method: str = "rule"
    """Names the verifier in the column ``method``."""

    @abstractmethod
    def verify(self, request: VerificationRequest) -> Verdict:
        """The verdict on an answer that ``fast_path`` left open. Runs in a worker that is killed at the deadline."""

    def fast_path(self, request: VerificationRequest) -> Verdict | None:
        """The verdict if it takes no time, in the stage's own process; None if a worker is to decide."""
        return unanswered(request, self.method)

    def warm(self) -> None:
        """Load whatever ``verify`` needs, before any deadline runs."""

    def deadline_s(self, request: VerificationRequest, timeout_s: float) -> float:
        """Seconds a worker has for the request; ``timeout_s`` is the stage's setting."""
        return timeout_s

    def unfinished(self, request: VerificationRequest, seconds: float) -> Verdict:
        """The verdict on an answer that used up its processor time: the verifier's failure, unless the answer is to blame."""
        return Verdict("timeout", None, request.category, f"no verdict after {seconds:g} s", seconds)

    def trimmed(self, request: VerificationRequest) -> VerificationRequest:
        """The part of a request that a worker is sent: the messages stay behind, as ``prompt`` has their text."""
        return replace(request, messages=())

    def known_answers(self, question: Question) -> Sequence[KnownAnswer]:
        """Answers to try on the question in the self-test; none by default."""
        return ()


BUILT_IN: Mapping[str, str] = {
    "math": "stillhouse.verification.math:MathVerifier",
    "code": "stillhouse.verification.code:CodeVerifier",
    "instruction_following": "stillhouse.verification.instruction_following:InstructionVerifier",
}
"""By the name that ``vocabulary.categories`` gives a category's verifier, as module:attribute: imported when first needed."""


_WITH_LIBRARIES: Mapping[str, str] = {"code_scientific": "stillhouse.verification.code:ScientificCodeVerifier"}
"""Variants of the built-in rules, chosen by the config field ``libraries``."""


def with_libraries(verifiers: Mapping[Category, str], libraries: Libraries) -> dict[Category, str]:
    """The extensions in a config, besides the verifier of code whose programs may import these libraries."""
    code = {category: f"code_{libraries}" for category, facts in FACTS.items() if facts.verifier == "code"}
    return (code if libraries != "standard" else {}) | dict(verifiers)


class LoadedVerifiers:
    """The verifiers of this process by category, each loaded when it is first asked for."""

    def __init__(self, extensions_by_category: Mapping[Category, str]) -> None:
        """``extensions_by_category``: what stands in place of the table's verifiers, as in the config field ``verifiers``."""
        by_rule = {category: facts.verifier for category, facts in FACTS.items() if facts.verifier in BUILT_IN}
        self.names: dict[Category, str] = by_rule | dict(extensions_by_category)
        self._loaded: dict[Category, Verifier] = {}

    def __contains__(self, category: Category) -> bool:
        """Whether a rule scores the category's answers."""
        return category in self.names

    def of(self, category: Category) -> Verifier:
        """The category's verifier.

        Raises BadRows for a category that no rule scores, BadConfig for an extension that cannot be loaded or is not a Verifier.
        """
        if category not in self._loaded:
            if category not in self.names:
                msg = f"no verifier for category {category!r}, only for {', '.join(self.names)}; leave those questions out"
                raise BadRows(msg)
            self._loaded[category] = _load(self.names[category])
        return self._loaded[category]


def _load(name: str) -> Verifier:
    verifier_type = extensions.load("verifiers", name, {**BUILT_IN, **_WITH_LIBRARIES})
    if not (isinstance(verifier_type, type) and Verifier in verifier_type.__mro__):
        msg = f"verifier {name}: {verifier_type!r} is not a Verifier; derive a class from {Verifier.__module__}.Verifier"
        raise BadConfig(msg)
    verifier: Verifier = verifier_type()
    return verifier
