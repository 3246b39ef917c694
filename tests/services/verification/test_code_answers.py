import json
from pathlib import Path

import pytest

from stillhouse.verification.code import CodeVerifier
from stillhouse.verification.sandbox import libraries
from stillhouse.verification.verdict import VerificationRequest

ROWS = [json.loads(line) for line in Path(__file__).with_name("code_answers.jsonl").read_text(encoding="utf-8").splitlines()]
"""Programs as people write them, with the kind of verdict that a careful reader would give; ``name`` is what a row stands for."""


@pytest.fixture(scope="module")
def verifier():
    shared = CodeVerifier()
    yield shared
    shared.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_verify_answer_of_a_usual_form_gets_the_verdict_of_a_careful_reader(row, verifier):
    if "pytest" in json.dumps(row["test_cases"]) and not libraries.directory("standard"):
        pytest.skip("make libraries has not been run")
    request = VerificationRequest("code", row["answer"], None, test_cases=json.dumps(row["test_cases"]))
    verdict = verifier.verify(request)
    assert verdict.kind == row["kind"], verdict.detail
