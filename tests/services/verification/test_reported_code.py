"""Cases that people reported of judges of code and instructions, each with the setting that judges it.

``python -m tests.services.verification.test_reported_code`` prints every verdict and its setting.
"""

import json
from pathlib import Path

import pytest

from stillhouse.verification.code import CodeVerifier, ScientificCodeVerifier
from stillhouse.verification.instruction_following import InstructionVerifier
from stillhouse.verification.sandbox import libraries
from stillhouse.verification.verdict import VerificationRequest

ROWS = [json.loads(line) for line in Path(__file__).with_name("reported_code.jsonl").read_text(encoding="utf-8").splitlines()]
"""``setting``: fields of the tests, and ``libraries``; the defaults judge the others. ``kinds``: any of them is right."""
LOADED = {"standard": CodeVerifier(), "scientific": ScientificCodeVerifier()}
INSTRUCTIONS = InstructionVerifier()


def judged(row):
    setting = row.get("setting", {})
    if "constraints" in row:
        request = VerificationRequest(
            "instruction_following", row["answer"], None, constraints=json.dumps(row["constraints"]), prompt="x"
        )
        return INSTRUCTIONS.verify(request)
    tests = row["test_cases"] | {name: value for name, value in setting.items() if name != "libraries"}
    request = VerificationRequest("code", row["answer"], None, test_cases=json.dumps(tests))
    return LOADED[setting.get("libraries", "standard")].verify(request)


def close():
    for verifier in LOADED.values():
        verifier.close()


def are_installed(row):
    kind = row.get("setting", {}).get("libraries", "standard")
    return kind == "standard" or Path(libraries._root(), kind).is_dir()


@pytest.fixture(scope="module", autouse=True)
def ended():
    yield
    close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_reported_case_is_judged_as_a_careful_reader_would_under_its_setting(row):
    if not are_installed(row):
        pytest.skip("make libraries has not been run")
    verdict = judged(row)
    assert verdict.kind in row["kinds"], verdict.detail
    assert verdict.verify_score == pytest.approx(row.get("score", verdict.verify_score), abs=0.01)


def test_case_that_needs_a_setting_is_not_judged_right_without_it():
    changed = [row for row in ROWS if row.get("setting")]
    assert len(changed) == 6
    assert all(judged({**row, "setting": {}}).kind in ("wrong", "error") for row in changed)


def main():
    for row in ROWS:
        verdict = judged(row) if are_installed(row) else None
        shown = f"{verdict.kind} {verdict.verify_score}" if verdict else "not run: make libraries"
        print(f"{row['name']:36} {shown:16} {json.dumps(row.get('setting', {}))[:80]}")
    close()


if __name__ == "__main__":
    main()
