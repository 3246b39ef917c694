import json
from pathlib import Path

import pytest

from stillhouse.verification import choices
from stillhouse.verification.verdict import VerificationRequest

ROWS = [json.loads(line) for line in Path(__file__).with_name("choice_answers.jsonl").read_text(encoding="utf-8").splitlines()]
PROMPT = "user: Which gas?\nA) xenon\nB) neon\nC) argon, dry\nD) 10^{-4} mol"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["answer"][:40])
def test_verdict_reads_the_letter_that_is_stated_last(row):
    verdict = choices.verdict(VerificationRequest("science", row["answer"], row["reference"], prompt="Question"))
    assert (verdict.kind == "correct") is row["right"]
    assert verdict.verify_score == (5.0 if row["right"] else 0.0)


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("argon, dry", "C"), ("The answer is neon.", "B"),
     ("\\boxed{\\text{xenon}}", "A"), ("neon and xenon", None), ("helium", None)],
)  # fmt: skip
def test_named_option_text_stands_for_its_letter(answer, letter):
    assert choices.named(answer, choices.options(PROMPT)) == letter


def test_named_letters_beyond_the_question_s_choices_are_not_read():
    four = choices.options(PROMPT)
    assert list(four) == ["A", "B", "C", "D"]
    assert choices.named("Answer: E", four) is None
    assert choices.named("Answer: E") == "E"


def test_is_choice_needs_a_letter_and_in_categories_without_references_the_question_s_list():
    assert choices.is_choice(VerificationRequest("science", "x", "C"))
    assert not choices.is_choice(VerificationRequest("science", "x", "Carbon"))
    assert not choices.is_choice(VerificationRequest("other", "x", "C", prompt="Which?"))
    assert choices.is_choice(VerificationRequest("other", "x", "C", prompt=PROMPT))
