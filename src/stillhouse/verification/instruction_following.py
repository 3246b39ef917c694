"""Checks an answer against its question's constraints by if-verifiable: the score is the share that is met (DeepDistill, Eq. 3).

Constraints are IFEval's, IFBench's, and M-IFEval's (Spanish, French, Japanese). They are checked strictly, in IFEval's sense, on
the unchanged answer; or loosely, if ``constraints`` says ``"mode": "loose"``: also without its first line, its last line and its
asterisks. The detail gives the loose score where it differs. nltk splits words and sentences; if its punkt data is not installed
(``NLTK_DATA``), nltk's untrained tokenizer does, and the method says so. Nothing is ever downloaded.
"""

import json
from functools import cache
from typing import Any

import langdetect
import nltk
from if_verifiable.common import get_loose_transformations
from if_verifiable.ifeval import instructions_registry, instructions_util

from stillhouse.verification.instruction_modes import is_loose
from stillhouse.verification.multilingual_instructions import LANGUAGES, UnknownArgument, language_checker
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
        answer = str(request.answer)
        try:
            strictly = [name for name, checker in checkers if not checker.check_following(answer)]
            loosely = [name for name, checker in checkers if name in strictly and not _met_loosely(checker, answer)]
        except LookupError as error:
            return Verdict("error", None, method, f"a constraint needs data of nltk that is not in NLTK_DATA: {_first_line(error)}")
        return _scored(strictly, loosely, len(checkers), method, loose=is_loose(request.constraints))

    def known_answers(self, question: Question) -> list[KnownAnswer]:
        """See Verifier: any answer shows whether the constraints can be checked; one without required words must fail."""
        answers = [KnownAnswer("any answer", "Yes.", passes=None)]
        if any(name in (question.constraints or "") for name in ("keywords:existence", "detectable_content:postscript")):
            answers.append(KnownAnswer("an answer without the required words", json.dumps("-"), passes=False))
        return answers


def _met_loosely(checker: Any, answer: str) -> bool:
    """Whether the answer meets a constraint without its first or last line, or without asterisks."""
    return any(variant.strip() and checker.check_following(variant) for variant in get_loose_transformations(answer))


def _scored(strictly: list[str], loosely: list[str], n: int, method: str, *, loose: bool) -> Verdict:
    """The verdict for the constraints that were missed strictly, and loosely."""
    missed = loosely if loose else strictly
    score = 1 - len(missed) / n
    kind: VerdictKind = "correct" if not missed else "partial" if score else "wrong"
    detail = f"not met: {', '.join(missed)}" if missed else ""
    if len(loosely) < len(strictly):
        other = f"strict score {1 - len(strictly) / n:g}" if loose else f"loose score {1 - len(loosely) / n:g}"
        detail = f"{detail}; {other}" if detail else other
    return Verdict(kind, score, f"{method}, loose" if loose else method, detail)


def _first_line(error: Exception) -> str:
    """The first words of an error of nltk, which fills a page."""
    return " ".join(str(error).replace("*", "").split())[:80]


def constraints(text: str | None) -> list[tuple[str, dict[str, Any]]]:
    """The column ``constraints`` as (id, values). Raises UnverifiableConstraints if it is not in IFEval's form."""
    if not text:
        msg = "the question has no constraints"
        raise UnverifiableConstraints(msg)
    try:
        table = json.loads(text)
        names, values, mode = table["instruction_id_list"], table["kwargs"], table.get("mode", "strict")
    except (ValueError, TypeError, KeyError) as error:
        msg = f"constraints are not of the form {{instruction_id_list, kwargs}}: {type(error).__name__}: {error}"
        raise UnverifiableConstraints(msg) from error
    if mode not in ("strict", "loose"):
        msg = f"constraints: mode must be strict or loose, got {mode!r}"
        raise UnverifiableConstraints(msg)
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
    try:
        if (of_language := language_checker(name, values)) is not None:
            return of_language
    except UnknownArgument as error:
        raise UnverifiableConstraints(str(error)) from error
    name = _without_language(name)
    types = types if name in types else types | _of_ifbench()
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
    _refuse_drawn(name, checker, arguments)
    return checker


def _without_language(name: str) -> str:
    """``en:keywords:existence`` as IFEval's id. Raises UnverifiableConstraints for a language that has no rules."""
    language, _, bare = name.partition(":")
    if len(language) != 2 or ":" not in bare:
        return name
    if language != "en":
        known = ", ".join(sorted({"en", *LANGUAGES}))
        msg = f"constraint {name}: there are rules of M-IFEval for {known}, and this id is none of them"
        raise UnverifiableConstraints(msg)
    return bare


def _refuse_drawn(name: str, checker: Any, arguments: dict[str, Any]) -> None:
    """Raise UnverifiableConstraints if the checker drew a value at random in place of one that it does not take.

    A sign that is no letter is counted as the question says, though the checker would draw a letter for it.
    """
    used = checker.get_instruction_args() or {}
    for key, value in arguments.items():
        if key not in used or _plain(used[key]) == _plain(value):
            continue
        if key == "letter" and isinstance(value, str) and len(value.strip()) == 1:
            checker._letter = value.strip().lower()
            continue
        msg = f"constraint {name} cannot take {value!r} as {key}: if-verifiable would draw one at random"
        raise UnverifiableConstraints(msg)


def _plain(value: Any) -> str:
    """A value for comparison: lists have no order, case and spaces do not count."""
    values = sorted(map(str, value)) if isinstance(value, list | tuple) else [str(value)]
    return " ".join(" ".join(values).lower().split())


@cache
def _of_ifbench() -> dict[str, Any]:
    """IFBench's checkers by id. Their module downloads nltk's data when it is imported: here it does not."""
    download, nltk.download = nltk.download, lambda *_, **__: False
    try:
        from if_verifiable.ifbench import instructions_registry as of_ifbench
    finally:
        nltk.download = download
    return dict(of_ifbench.INSTRUCTION_DICT)


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
