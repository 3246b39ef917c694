"""The exact verifier against math-verify on generated answers, for worker processes: math-verify is slow."""

import random
from functools import cache
from itertools import product

from stillhouse.verification import math
from stillhouse.verification.math import MathVerifier
from stillhouse.verification.verdict import VerificationRequest
from tests.services.verification import spellings


def disagreements(kind: str, wanted: int, seed: int) -> tuple[int, list[str]]:
    """How many pairs of a kind were decided (at least ``wanted``), and those that math-verify decides otherwise."""
    draw, decided, differences = random.Random(f"{kind}/{seed}"), 0, []
    while decided < wanted:
        family = list(dict.fromkeys(spellings.MAKERS[kind](draw)))
        answers = [draw.choice(spellings.SENTENCES).replace("%s", each) for each in family]
        for reference, answer in product(family, answers):
            verdict = MathVerifier().fast_path(VerificationRequest("math", answer, reference))
            if verdict is not None:
                decided += 1
                if (verdict.kind == "correct") != math_verify_says(reference, answer):
                    differences.append(f"{verdict.kind}: reference {reference!r}, answer {answer!r}")
    return decided, differences


def math_verify_says(reference: str, answer: str) -> bool:
    """math-verify's own verdict."""
    from math_verify import verify

    return bool(verify(list(parsed(math.boxed(reference.strip()))), list(parsed(answer)), timeout_seconds=None))


@cache
def parsed(text: str) -> tuple[object, ...]:
    from math_verify import parse

    return tuple(parse(text, parsing_timeout=None))
