import json
import random
from pathlib import Path

import pytest

from stillhouse.verification.math import MathVerifier
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import VerificationRequest

ROWS = [json.loads(line) for line in Path(__file__).with_name("math_answers.jsonl").read_text(encoding="utf-8").splitlines()]
"""References, answers, and whether they are right; ``kind`` is what the pair stands for."""
KINDS = sorted({row["kind"] for row in ROWS})


def request(row):
    return VerificationRequest("math", row["answer"], row["reference"])


@pytest.mark.parametrize("kind", KINDS)
def test_fast_path_judges_every_answer_of_a_kind_rightly_or_leaves_it_to_math_verify(kind):
    verdicts = [(row, MathVerifier().fast_path(request(row))) for row in ROWS if row["kind"] == kind]
    failed = [
        (row["reference"], row["answer"], verdict.kind)
        for row, verdict in verdicts
        if verdict is not None and (verdict.kind in ("error", "timeout") or (verdict.kind == "correct") != row["right"])
    ]
    assert verdicts
    assert failed == []


def test_rows_cover_right_and_wrong_answers_of_many_kinds():
    assert len(KINDS) > 60
    assert min(sum(row["right"] for row in ROWS), sum(not row["right"] for row in ROWS)) > 400


@pytest.mark.parametrize(
    "answer",
    [
        "\\boxed{" + "-" * 1500 + "1}", "\\boxed{" + "\\sqrt" * 200 + "2}", "\\boxed{" + "1+" * 900 + "1}",
        "\\boxed{" + "2^" * 200 + "2}",
        "\\boxed{" + "9^{99999}" * 60 + "}", "\\boxed{1}" * 3000, "\\boxed{1}" + " " * 30000 + "\\boxed{2}", "a" * 1900 + "!",
        "answer is " + " (*" * 9000, "\\(" * 9000, "\\boxed{" + "word " * 380 + "?}",
        "\\boxed{" + "\\frac{1}{7^{19999}}+" * 50 + "1}",
        "\\boxed{((((((((((10!)!)!)!)!)!)!)!)!)!}", "\\boxed{\\binom{1.5\\cdot 10^{300}}{2}}", "\\boxed{1e999999999}",
    ],
)  # fmt: skip
def test_fast_path_hostile_text_is_refused_without_a_worker(answer):
    verdict = MathVerifier().fast_path(VerificationRequest("math", answer, "7"))
    assert (verdict.kind, verdict.verify_score) in (("wrong", 0.0), ("malformed", 0.0))


PIECES = (
    "1 2 3 x n k i e A ( ) [ ] { } \\{ \\} + - / ^ _ = < , ; : | ! % \\frac{1}{2} \\sqrt \\pm \\pi \\infty \\le \\neq \\cup \\in "
    "\\mathbb{R} \\emptyset \\text{cm} \\text{or} \\text{\\approx} "
    "\\begin{pmatrix} \\end{pmatrix} \\begin{cases} \\end{cases} & \\\\ \\sin "
    "\\log_2 \\lfloor \\rfloor \\pmod ^\\circ 1,000 12:30 3:4 million $ 五 个 ① \\ldots \\cdot ^T f(x) a_n "
    "\\left( \\right) 101_2 ½ yes"
)


@pytest.mark.parametrize("reference", ["5", "x+1", "(1,2)", "\\{1,2\\}", "x>2", "3:4", "\\pm3", "x \\equiv 3 \\pmod 7"])
def test_fast_path_pieces_of_formulas_in_any_order_have_a_verdict(reference):
    draw = random.Random(0)
    texts = ["".join(draw.choices([*PIECES.split(), " "], k=draw.randint(1, 9))) for _ in range(60)]
    verdicts = [MathVerifier().fast_path(VerificationRequest("math", f"\\boxed{{{text}}}", reference)) for text in texts]
    assert [verdict for verdict in verdicts if verdict is not None and verdict.verify_score is None] == []


def test_fast_path_power_tower_is_wrong_and_said_to_be_unreasonable():
    verdict = MathVerifier().fast_path(VerificationRequest("math", "\\boxed{9^{9^{9^9}}}", "7"))
    assert (verdict.kind, verdict.verify_score) == ("wrong", 0.0)
    assert verdict.detail.startswith("unreasonable")


def test_reference_that_no_rule_reads_is_an_error_that_says_so():
    reference = "If $k<2$ the ratio is 4; else it is zero."
    verdict = MathVerifier().fast_path(VerificationRequest("math", "It is 4 for k < 2, else 0, and 2", reference))
    assert (verdict.kind, verdict.method) == ("error", "no rule")
    without = MathVerifier().fast_path(VerificationRequest("math", "\\boxed{9}", reference))
    assert (without.kind, without.verify_score) == ("wrong", 0.0)


@pytest.mark.parametrize("constraints", ["[1]", '{"absolut": 1}', "near", "-1", '{"units": "any"}'])
def test_rules_that_cannot_be_read_are_an_error_with_the_fields_that_can(constraints):
    verdict = MathVerifier().fast_path(VerificationRequest("math", "1", "1", constraints=constraints))
    assert (verdict.kind, verdict.verify_score) == ("error", None)
    assert "significant_digits" in verdict.detail


def test_tolerance_of_the_question_decides():
    near = VerificationRequest("math", "\\boxed{9.8}", "9.81", constraints="0.02")
    assert MathVerifier().fast_path(near).kind == "correct"
    assert MathVerifier().fast_path(VerificationRequest("math", "\\boxed{9.8}", "9.81")).kind == "wrong"


def test_known_answers_of_a_list_change_each_part_of_it():
    from stillhouse import testing

    known = MathVerifier().known_answers(testing.question("Solve", "x=1, y=\\frac{2}{3}"))
    changed = [answer.answer for answer in known if answer.name == "a perturbed reference"]
    assert len(changed) == 3
    with VerifierPool(5, workers=1) as pool:
        requests = [VerificationRequest("math", text, "x=1, y=\\frac{2}{3}") for text in changed]
        kinds = [verdict.kind for verdict in pool.verify(requests)]
    assert kinds == ["wrong"] * 3
