"""Verdicts on references in several spellings and on changed ones: false refusals, false passes, no verdict, at load 1 and 10.

``python -m tests.perf.bench_verdicts FILE.jsonl…`` takes published sets in place of references of the same shapes: one JSON object
a line, the reference in ``answer``, ``final_answer``, ``target`` or ``Answer``, behind ``####`` or in the last box of ``solution``.
"""

import json
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stillhouse.stages.verified import Config
from stillhouse.verification.exact import extraction
from stillhouse.verification.math_references import read_reference, undelimited
from stillhouse.verification.perturbation import perturbed
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import tried_twice
from stillhouse.verification.verdict import Verdict, VerificationRequest
from stillhouse.vocabulary.rows import FAILED
from tests.perf.measure import table

LOADS = (1, 10)
PER_SHAPE, MOST = 30, 400
"""References of a shape, and of a published set: of a larger one a sample."""
SPINNER = "while True: pass"
PROSE = "We simplify step by step, since $2 + 2 = 4$ and $a^2 = b$. "
SHAPES: dict[str, tuple[str, ...]] = {
    "whole numbers": ("{a}", "-{a}", "{b}{a},{c}00", "\\${a}", "{a}\\%", "{a}\\text{{ cm}}", "{a}^\\circ"),
    "fractions, decimals": ("\\frac{{{a}}}{{{b}7}}", "{a}.{b}", "0.0{a}", "{b}\\frac{{1}}{{{c}}}", "{b}.{c}\\times 10^{{-{c}}}"),
    "roots, pi": ("{b}\\sqrt{{{a}}}", "\\frac{{{b}\\pi}}{{{a}}}", "\\frac{{-{b}\\pm\\sqrt{{{a}}}}}{{2}}", "{b}+{c}\\sqrt{{2}}"),
    "intervals, inequalities": ("[{b}, {a})", "(-\\infty, {b}]\\cup({a}, \\infty)", "{b} < x \\le {a}",
        "x \\ge \\frac{{{b}}}{{{a}}}"),
    "lists, sets, tuples": ("{a}, {b}", "\\{{{a}, -{b}, {c}\\}}", "({a}, -{b})", "x = {a}, y = {b}", "{a}; {b}",
        "({a}, {b}), ({b}, {c})"),
    "formulas, equations": ("{b}x^2 - {a}x + {c}", "y = {b}x + {a}", "\\frac{{x+{a}}}{{x-{b}}}", "f(x) = {b}e^{{{c}x}}",
        "x^2 + y^2 = {a}"),
    "bases, ratios, times": ("1{b}2_{{9}}", "{a}:{b}", "{b}:{a}", "{b}\\text{{ h }}{a}\\text{{ min}}", "{c} \\pmod{{{a}}}",
        "{b}i - {a}"),
    "matrices, sums": ("\\begin{{pmatrix}} {a} & {b} \\\\ 0 & {c} \\end{{pmatrix}}", "\\sum_{{k=1}}^{{{b}}} k^{c}",
        "\\ln {a} - \\ln {b}"),
}  # fmt: skip
"""References as the published sets have them, with numbers to be drawn."""


def drawn() -> dict[str, list[str]]:
    """References of every shape."""
    draw = random.Random(0)
    return {
        shape: [
            template.format(a=draw.randint(11, 59), b=draw.randint(2, 9), c=draw.randint(2, 9))
            for template in templates
            for _ in range(PER_SHAPE)
        ]
        for shape, templates in SHAPES.items()
    }


def published(path: Path) -> list[str]:
    """The references of a published set."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    references = [reference for row in rows if (reference := _reference(row))]
    return references if len(references) <= MOST else random.Random(0).sample(references, MOST)


def _reference(row: dict[str, Any]) -> str:
    for name in ("final_answer", "answer", "target", "Answer", "solution"):
        value = row.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if value is None or isinstance(value, list | dict):
            continue
        text = re.sub(r"\.0$", "", str(value).rpartition("####")[2].strip())
        if name == "solution":
            return extraction.candidates(text)[0].text if "\\boxed" in text else ""
        return text
    return ""


SPELLINGS: dict[str, Callable[[str], str]] = {
    "box": lambda text: f"{PROSE}\\boxed{{{text}}}",
    "display": lambda text: f"{PROSE}Therefore\n\\[\n\\boxed{{{text}}}\n\\]",
    "respelt": lambda text: f"{PROSE}$\\boxed{{ {_respelt(text)} }}$.",
    "no box": lambda text: f"{PROSE}The answer is ${text}$.",
}


def _respelt(text: str) -> str:
    """The same in another spelling: other fractions and brackets, spaces around signs, a comma between thousands gone."""
    text = re.sub(r"\\frac(?![A-Za-z])", r"\\dfrac", text)
    if "\\left" not in text and "\\begin" not in text and "\\{" not in text and text.count("(") == text.count(")"):
        text = re.sub(r"(?<![a-zA-Z])\(", r"\\left(", text)
        text = re.sub(r"\)", r"\\right)", text) if text.count("\\left(") == text.count(")") else text.replace("\\left(", "(")
    text = text.replace(",", "") if re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+", text) else text
    return re.sub(r"(?<=[\w}]) ?([+=]) ?(?=[\w\\])", r" \1 ", text)


@contextmanager
def loaded(processes: int) -> Iterator[None]:
    """So many processes compute besides the verifiers."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPINNER]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def judged(references: list[str]) -> tuple[list[str], list[VerificationRequest], list[VerificationRequest]]:
    """The references that a rule reads, and requests with right and with wrong answers to them."""
    read = [text for text in references if read_reference(text).readable]
    right = [VerificationRequest("math", spelling(undelimited(text)), text) for text in read for spelling in SPELLINGS.values()]
    wrong = [
        VerificationRequest("math", SPELLINGS[spelling](undelimited(other)), text)
        for text in read
        for other in perturbed(text)[:2]
        for spelling in ("box", "no box")
    ]
    return read, right, wrong


def measure(sets: dict[str, list[str]], load: int) -> list[tuple[str, str, Verdict]]:
    """Print the table at a load; returns what was judged falsely or not at all."""
    rows, faults, totals = [], [], Counter[str]()
    with loaded(load - 1), VerifierPool(Config().timeout_s, 1) as pool:
        for name, references in sets.items():
            read, right, wrong = judged(references)
            verdicts = tried_twice(pool, [*right, *wrong])
            counts: dict[str, int] = defaultdict(int)
            for request, verdict, expected in zip(
                [*right, *wrong], verdicts, [True] * len(right) + [False] * len(wrong), strict=True
            ):
                failed = verdict.kind in FAILED
                if failed or (verdict.kind == "correct") is not expected:
                    counts[f"{expected}{failed}"] += 1
                    faults.append((str(request.reference), str(request.answer), verdict))
            figures = [len(references), len(references) - len(read), len(right), counts["TrueFalse"], counts["TrueTrue"],
                       len(wrong), counts["FalseFalse"], counts["FalseTrue"]]  # fmt: skip
            totals.update({str(place): figure for place, figure in enumerate(figures)})
            rows.append([name, *figures])
    rows.append(["all", *(totals[str(place)] for place in range(8))])
    header = [f"load {load}", "references", "not read", "right", "refused", "no verdict", "wrong", "passed", "no verdict"]
    table(header, rows)
    return faults


def main(paths: list[str] | None = None) -> None:
    """Print the table at each load."""
    sets = {Path(path).stem: published(Path(path)) for path in paths} if paths else drawn()
    for load in LOADS:
        faults = measure(sets, load)
        print()
    for reference, answer, verdict in faults if paths else ():
        print(f"{verdict.kind} ({verdict.method}): {answer.removeprefix(PROSE)!r} for {reference!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
