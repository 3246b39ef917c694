import json
from pathlib import Path

import pytest

from stillhouse.verification.math import MathVerifier
from stillhouse.verification.math_references import read_reference
from stillhouse.verification.verdict import VerificationRequest

ROWS = [json.loads(line) for line in Path(__file__).with_name("calculus_answers.jsonl").read_text(encoding="utf-8").splitlines()]
"""References and answers with integrals, sums and limits, in equations and lists, and whether they are right."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['answer']} for {row['reference']}"[:60])
def test_verify_formula_with_calculus_is_compared_side_by_side(row):
    verdict = MathVerifier().verify(VerificationRequest("math", row["answer"], row["reference"]))
    assert verdict.kind == ("correct" if row["right"] else "wrong" if verdict.kind != "malformed" else "malformed"), verdict.detail


@pytest.mark.parametrize(
    "reference",
    [
        "\\int_0^1 x dx = \\frac12 \\text{ and } 3", "The limit is $\\lim_{x\\to 0} f(x) = 2$", "\\bigcup_{k=1}^n [k, k+1]",
        "\\left|\\begin{array}{rrr}1 & -7 & -5\\end{array}\\right|=113",
    ],
)  # fmt: skip
def test_reference_of_which_math_verify_would_read_a_part_is_no_reference(reference):
    assert not read_reference(reference).readable
