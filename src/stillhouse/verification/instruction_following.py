"""Checks an answer against its question's constraints by if-verifiable: the score is the share that is met (DeepDistill, Eq. 3).

Constraints are checked strictly, in IFEval's sense: on the unchanged answer. nltk splits words and sentences; if its punkt data is
not installed (``NLTK_DATA``), nltk's untrained tokenizer does, and the method says so. Nothing is ever downloaded.
"""

import json
from functools import cache
from typing import Any

import langdetect
import nltk
from if_verifiable.ifeval import instructions_registry, instructions_util

from stillhouse.verification.verdict import Verdict, VerificationRequest, unanswered
from stillhouse.verification.verifier import KnownAnswer, Verifier
from stillhouse.vocabulary.rows import Question, VerdictKind

METHOD = "if-verifiable"


class UnverifiableConstraints(Exception):
    """A question's constraints cannot be checked on any answer."""


class InstructionVerifier(Verifier):
    """Checks constraints in IFEval's form."""

    method = METHOD

    def warm(self) -> None:
        """See Verifier."""
        _checkers()

    def fast_path(self, request: VerificationRequest) -> Verdict | None:
        """See Verifier: the verdict if there is no answer, or the constraints cannot be read."""
        if (verdict := unanswered(request, METHOD)) is not None:
            return verdict
        try:
            constraints(request.constraints)
        except UnverifiableConstraints as error:
            return Verdict("error", None, METHOD, str(error))
        return None

    def verify(self, request: VerificationRequest) -> Verdict:
        """See Verifier; ``detail`` names the constraints that were not met."""
        if (verdict := self.fast_path(request)) is not None:
            return verdict
        types, method = _checkers()
        try:
            named = constraints(request.constraints)
            checkers = [(name, _checker(types, name, values, request.prompt or "")) for name, values in named]
        except UnverifiableConstraints as error:
            return Verdict("error", None, method, str(error))
        missed = [name for name, checker in checkers if not checker.check_following(request.answer)]
        score = 1 - len(missed) / len(checkers)
        kind: VerdictKind = "correct" if not missed else "partial" if score else "wrong"
        return Verdict(kind, score, method, f"not met: {', '.join(missed)}" if missed else "")

    def known_answers(self, question: Question) -> list[KnownAnswer]:
        """See Verifier: any answer shows whether the constraints can be checked; one without required words must fail."""
        answers = [KnownAnswer("any answer", "Yes.", passes=None)]
        if any(name in (question.constraints or "") for name in ("keywords:existence", "detectable_content:postscript")):
            answers.append(KnownAnswer("an answer without the required words", json.dumps("-"), passes=False))
        return answers


def constraints(text: str | None) -> list[tuple[str, dict[str, Any]]]:
    """The column ``constraints`` as (id, values). Raises UnverifiableConstraints if it is not in IFEval's form."""
    if not text:
        msg = "the question has no constraints"
        raise UnverifiableConstraints(msg)
    try:
        table = json.loads(text)
        names, values = table["instruction_id_list"], table["kwargs"]
    except (ValueError, TypeError, KeyError) as error:
        msg = f"constraints are not of the form {{instruction_id_list, kwargs}}: {type(error).__name__}: {error}"
        raise UnverifiableConstraints(msg) from error
    shaped = isinstance(names, list) and isinstance(values, list) and len(names) == len(values) > 0
    if not shaped or not all(isinstance(name, str) and isinstance(own, dict) for name, own in zip(names, values, strict=True)):
        msg = f"constraints must list as many objects as ids, at least one of each, got {names!r} and {values!r}"
        raise UnverifiableConstraints(msg)
    # Data sets in tables have a column for every argument, null for the constraints that do not take it.
    return [
        (name, {key: value for key, value in own.items() if value is not None}) for name, own in zip(names, values, strict=True)
    ]


def _checker(types: dict[str, Any], name: str, values: dict[str, Any], prompt: str) -> Any:
    """The checker of one constraint. A missing argument is refused: if-verifiable would draw it at random."""
    if name not in types:
        msg = f"unknown constraint id {name!r}; if-verifiable knows {len(types)}, such as {', '.join(sorted(types)[:3])}"
        raise UnverifiableConstraints(msg)
    checker = types[name](name)
    expected = set(checker.get_instruction_args_keys())
    arguments = values | ({"prompt_to_repeat": prompt} if "prompt_to_repeat" in expected - set(values) else {})
    if expected != set(arguments):
        msg = f"constraint {name} takes {', '.join(sorted(expected)) or 'no values'}; got {', '.join(sorted(arguments)) or 'none'}"
        raise UnverifiableConstraints(msg)
    try:
        checker.build_description(**arguments)
    except (TypeError, ValueError, AttributeError) as error:
        msg = f"constraint {name} does not take {arguments!r}: {error}"
        raise UnverifiableConstraints(msg) from error
    return checker


@cache
def _checkers() -> tuple[dict[str, Any], str]:
    """if-verifiable's checker types by constraint id, and the method's name."""
    # Without a seed langdetect draws at random, and the same answer is English in one run and not in another.
    langdetect.DetectorFactory.seed = 0
    langdetect.detect("It reads its tables at the first call.")
    try:
        nltk.word_tokenize("Two words.")
        instructions_util.count_sentences("One sentence.")
    except LookupError:
        instructions_util._get_sentence_tokenizer = nltk.tokenize.PunktSentenceTokenizer
        nltk.word_tokenize = nltk.tokenize.NLTKWordTokenizer().tokenize
        return instructions_registry.INSTRUCTION_DICT, f"{METHOD}, untrained sentences"
    return instructions_registry.INSTRUCTION_DICT, METHOD
