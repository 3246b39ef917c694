"""An answer against its question's constraints, by if-verifiable: the mean over them of 1 if met, else 0 (DeepDistill, Eq. 3).

Constraints are met strictly, as IFEval says: on the answer as it stands. Words and sentences are told apart by nltk; where its
punkt data is not installed (``NLTK_DATA``), by nltk's untrained tokenizer, and the method says so. Nothing is ever downloaded.
"""

import json
from functools import lru_cache
from typing import Any

from stillhouse.verification.verdict import DETAIL_CHARS, Request, Verdict, unanswered
from stillhouse.vocabulary.rows import VerdictKind

METHOD = "if-verifiable"


class Unverifiable(Exception):
    """A question's constraints cannot be verified, whatever the answer."""


def warm() -> None:
    """Do the imports, before any deadline runs."""
    _checkers()


def settled(request: Request) -> Verdict | None:
    """The verdict where there is nothing to verify; None for the rest."""
    if (nothing := unanswered(request, METHOD)) is not None:
        return nothing
    try:
        constraints(request.constraints)
    except Unverifiable as error:
        return Verdict("error", None, METHOD, str(error)[:DETAIL_CHARS])
    return None


def verify(request: Request) -> Verdict:
    """The verdict; ``detail`` names the constraints that were not met."""
    if (quick := settled(request)) is not None:
        return quick
    checkers, method = _checkers()
    try:
        listed = constraints(request.constraints)
        made = [(name, _checker(checkers, name, values, request.prompt or "")) for name, values in listed]
    except Unverifiable as error:
        return Verdict("error", None, method, str(error)[:DETAIL_CHARS])
    missed = [name for name, checker in made if not checker.check_following(request.answer)]
    score = 1 - len(missed) / len(made)
    kind: VerdictKind = "correct" if not missed else "partial" if score else "wrong"
    return Verdict(kind, score, method, f"not met: {', '.join(missed)}"[:DETAIL_CHARS] if missed else "")


def constraints(text: str | None) -> list[tuple[str, dict[str, Any]]]:
    """The column ``constraints`` as (id, values). Raises Unverifiable for what is not of IFEval's form."""
    if not text:
        msg = "the question has no constraints"
        raise Unverifiable(msg)
    try:
        found = json.loads(text)
        names, values = found["instruction_id_list"], found["kwargs"]
    except (ValueError, TypeError, KeyError) as error:
        msg = f"constraints are not of the form {{instruction_id_list, kwargs}}: {type(error).__name__}: {error}"
        raise Unverifiable(msg) from error
    shaped = isinstance(names, list) and isinstance(values, list) and len(names) == len(values) > 0
    if not shaped or not all(isinstance(name, str) and isinstance(each, dict) for name, each in zip(names, values, strict=True)):
        msg = f"constraints must list as many objects as ids, at least one of each, got {names!r} and {values!r}"
        raise Unverifiable(msg)
    # Tables of many constraints keep every value's column, null where it is not the constraint's own.
    return [
        (name, {key: value for key, value in each.items() if value is not None}) for name, each in zip(names, values, strict=True)
    ]


def _checker(checkers: dict[str, Any], name: str, values: dict[str, Any], prompt: str) -> Any:
    """One constraint, ready to check. What is left out would be drawn at random there: it is refused."""
    if name not in checkers:
        msg = f"unknown constraint id {name!r}; if-verifiable knows {len(checkers)}, such as {', '.join(sorted(checkers)[:3])}"
        raise Unverifiable(msg)
    made = checkers[name](name)
    wanted = set(made.get_instruction_args_keys())
    given = values | ({"prompt_to_repeat": prompt} if "prompt_to_repeat" in wanted - set(values) else {})
    if wanted != set(given):
        msg = f"constraint {name} takes {', '.join(sorted(wanted)) or 'no values'}; got {', '.join(sorted(given)) or 'none'}"
        raise Unverifiable(msg)
    try:
        made.build_description(**given)
    except (TypeError, ValueError, AttributeError) as error:
        msg = f"constraint {name} does not take {given!r}: {error}"
        raise Unverifiable(msg) from error
    return made


@lru_cache(maxsize=1)
def _checkers() -> tuple[dict[str, Any], str]:
    """if-verifiable's checkers by id, and the method's name."""
    import langdetect
    import nltk
    from if_verifiable.ifeval import instructions_registry, instructions_util

    # Else it draws at random, and the same answer is once English and once not.
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
