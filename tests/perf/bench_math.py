"""Math verification: answers per second against math-verify alone in as many processes; hostile answers; a burst of 2,000."""

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from stillhouse.stages.verified import Config
from stillhouse.verification import math
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import VerificationRequest
from tests.perf.measure import table, timed

PER_KIND = 150
PROSE = "We first collect the terms and simplify step by step, checking each of them. That leaves one value, which also fits the "
PROSE += "condition given in the question, so that nothing else is possible. The final answer is $\\boxed{%s}$."

HOSTILE = {
    "power tower": "9^{9^{9^9}}", "factorial": "(10^9)!", "sum of 1e8 terms": "\\sum_{k=1}^{10^8} \\frac{1}{k^2}",
    "binomial": "\\binom{10^9}{5 \\cdot 10^8}", "1 GB of digits": None, "100,000 brackets deep": "(" * 10**5 + "1" + ")" * 10**5,
    "4,000 brackets deep": "(" * 4000 + "1" + ")" * 4000,
}  # fmt: skip
"""What the box holds; None: a gigabyte of digits, made when it is needed."""


def _integer(draw: random.Random) -> tuple[str, str, str]:
    value = draw.randint(-9999, 99_999)
    return f"{value}", f"{value:,}", f"{value + 1}"


def _fraction(draw: random.Random) -> tuple[str, str, str]:
    top, bottom = draw.randint(1, 99), draw.randint(2, 99)
    return f"\\frac{{{top}}}{{{bottom}}}", f"\\dfrac{{{2 * top}}}{{{2 * bottom}}}", f"\\frac{{{top}}}{{{bottom + 1}}}"


def _interval(draw: random.Random) -> tuple[str, str, str]:
    left, width = draw.randint(-99, 99), draw.randint(1, 99)
    return f"[{left}, {left + width})", f"\\left[{left},{left + width}\\right)", f"({left}, {left + width})"


def _surd(draw: random.Random) -> tuple[str, str, str]:
    factor, inside = draw.randint(2, 12), draw.choice([2, 3, 5, 6, 7, 10, 11])
    return f"{factor}\\sqrt{{{inside}}}", f"\\sqrt{{{factor**2 * inside}}}", f"{factor}\\sqrt{{{inside + 1}}}"


def _polynomial(draw: random.Random) -> tuple[str, str, str]:
    a, b = draw.randint(1, 30), draw.randint(1, 30)
    return f"x^2+{a + b}x+{a * b}", f"(x+{a})(x+{b})", f"x^2+{a + b}x+{a * b + 1}"


def _tuple(draw: random.Random) -> tuple[str, str, str]:
    one, two, three = (draw.randint(-99, 99) for _ in range(3))
    return f"({one}, {two}, {three})", f"\\left({one},{two},{three}\\right)", f"({two}, {one}, {three + 1})"


def _left_to_math_verify(draw: random.Random) -> tuple[str, str, str]:
    a = draw.randint(2, 99)
    integral = f"\\int_0^{{{a}}} x dx", f"\\frac{{{a * a}}}{{2}}", f"\\frac{{{a * a + 1}}}{{2}}"
    total = f"\\sum_{{k=1}}^{{{a}}} k", f"{a * (a + 1) // 2}", f"{a * (a + 1) // 2 + 1}"
    return draw.choice([integral, total])


KINDS: dict[str, Callable[[random.Random], tuple[str, str, str]]] = {
    "integer": _integer, "fraction": _fraction, "interval": _interval, "surd": _surd, "polynomial": _polynomial, "tuple": _tuple,
    "left to math-verify": _left_to_math_verify,
}  # fmt: skip
MIXED = tuple(KINDS)[:6]
"""The kinds, in equal shares, of the mixed set."""


def requests(kind: str, count: int = PER_KIND) -> list[VerificationRequest]:
    """A third written as the reference is, a third otherwise and right, a third wrong."""
    draw = random.Random(kind)
    drawn = (KINDS[kind](draw) for _ in range(count))
    return [VerificationRequest("math", PROSE % made[number % 3], made[0]) for number, made in enumerate(drawn)]


def alone(request: VerificationRequest) -> bool:
    """math-verify as its users call it, its own time limit included."""
    from math_verify import parse, verify

    return bool(verify(parse(f"\\boxed{{{request.reference}}}"), parse(request.answer or "")))


def warm() -> None:
    """Load math-verify in this process, without its words about time limits."""
    logging.disable(logging.CRITICAL)
    math.MathVerifier().warm()
    alone(VerificationRequest("math", "\\boxed{1}", "2"))


def measure(workers: int, sets: dict[str, list[VerificationRequest]]) -> None:
    """Both verifiers on the same answers: how fast, and whether they ever disagree."""
    rows = []
    with ProcessPoolExecutor(workers, get_context("spawn"), warm) as peers, VerifierPool(20, workers) as pool:
        list(peers.map(alone, requests("integer", 8 * workers)))
        list(pool.verify(requests("left to math-verify", 8 * workers)))
        for name, these in sets.items():
            with timed() as theirs:
                expected = list(peers.map(alone, these, chunksize=8))
            with timed() as ours:
                found = [verdict.kind == "correct" for verdict in pool.verify(these)]
            rates = len(these) / ours.seconds, len(these) / theirs.seconds
            differ = sum(one != other for one, other in zip(found, expected, strict=True))
            rows.append([name, len(these), *rates, rates[0] / rates[1], differ])
    table([f"{workers} processes", "answers", "stillhouse/s", "math-verify/s", "ratio (aim 10)", "disagreements"], rows)


def hostile(timeout_s: float) -> None:
    """Seconds to the verdict on answers made to hang a verifier."""
    rows = []
    with VerifierPool(timeout_s, 1) as pool:
        for name, answer in HOSTILE.items():
            list(pool.verify([VerificationRequest("math", "\\boxed{\\int_0^7 dx}", "7")]))
            request = VerificationRequest("math", f"\\boxed{{{answer or '9' * 10**9}}}", "7")
            with timed() as timing:
                (verdict,) = pool.verify([request])
            rows.append([name, timing.seconds, verdict.kind, str(verdict.verify_score)])
    table([f"hostile (deadline {timeout_s:g} s)", "seconds", "verdict", "score"], rows)


def burst(workers: int, timeout_s: float) -> None:
    """2,000 right answers at once, with some hostile ones among them: none may come out as 0."""
    makers, draw = list(KINDS.values()), random.Random(0)
    drawn = (makers[number % len(makers)](draw) for number in range(2000))
    right = [VerificationRequest("math", PROSE % otherwise, reference) for reference, otherwise, _ in drawn]
    bad = [VerificationRequest("math", f"\\boxed{{{HOSTILE[name]}}}", "7") for name in ("power tower", "factorial", "binomial")]
    started = time.perf_counter()
    with VerifierPool(timeout_s, workers) as pool:
        verdicts = list(pool.verify([*right[:500], *bad, *right[500:]]))
    seconds = time.perf_counter() - started
    of_right = [*verdicts[:500], *verdicts[503:]]
    zeros = sum(verdict.verify_score == 0 for verdict in of_right)
    kinds = [sum(verdict.kind == kind for verdict in verdicts) for kind in ("correct", "timeout", "error")]
    header = ["burst", "answers", "seconds", "correct", "timeout", "error", "false zeros (aim 0)"]
    table(header, [["with 3 hostile", 2003, seconds, *kinds, zeros]])


def main() -> None:
    workers, timeout_s = len(os.sched_getaffinity(0)), Config().timeout_s
    by_kind = {kind: requests(kind) for kind in KINDS}
    mixed: Sequence[VerificationRequest] = [
        each[number] for number in range(PER_KIND) for each in (by_kind[kind] for kind in MIXED)
    ]
    a_tenth = [*mixed, *by_kind["left to math-verify"][: len(mixed) // 9]]
    random.Random(0).shuffle(a_tenth)
    measure(workers, {**by_kind, "mixed: the first six": list(mixed), "mixed, and a tenth left to math-verify": a_tenth})
    print()
    hostile(timeout_s)
    print()
    burst(workers, timeout_s)
