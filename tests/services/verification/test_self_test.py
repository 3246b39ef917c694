import json
from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.errors import TooManyErrors
from stillhouse.verification import self_test
from stillhouse.verification.config import JudgeConfig
from stillhouse.verification.judges import Judges
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Verdict
from stillhouse.verification.verifier import LoadedVerifiers
from stillhouse.vocabulary.categories import PASS_THRESHOLDS

ASKED = testing.questions(20)
CODING = testing.question("Sort", "print(1)", category="code", test_cases='{"language": "python"}')


class Always:
    """A pool that gives every answer the same verdict."""

    def __init__(self, kind, score):
        self.kind, self.score, self.asked = kind, score, []
        self.verifiers = LoadedVerifiers({})

    def verify(self, requests):
        for request in requests:
            self.asked.append(request)
            yield Verdict(self.kind, self.score, "fake", "so it is")


@pytest.mark.parametrize("asked", [ASKED, [CODING]])
@pytest.mark.parametrize(("kind", "score"), [("correct", 1.0), ("wrong", 0.0), ("timeout", None)])
def test_check_verifier_that_says_the_same_to_all_is_refused_with_examples(asked, kind, score):
    with pytest.raises(TooManyErrors, match=f"judged wrongly for .*{asked[0].category} questions.*: {kind} so it is"):
        self_test.check(Always(kind, score), asked, PASS_THRESHOLDS, 0.25)


def test_check_good_verifier_passes_on_every_spelling_of_references():
    references = ["5", "-0.5", "\\frac{1}{2}", "(1,2)", "\\{1, 2\\}", "$7$", "1,234", "\\sqrt{2}", "10\\%", "x^2+1"]
    asked = [testing.question(f"Question {number}", reference) for number, reference in enumerate(references)]
    with VerifierPool(20, workers=1) as pool:
        totals = self_test.check(pool, asked, PASS_THRESHOLDS, 0)
    assert totals["n_self_test_failed"] == 0
    assert totals["n_self_test"] > 30


def test_check_looks_at_a_sample_of_every_source_and_at_the_same_one_every_time():
    many = [replace(each, source=source) for source in ("one", "two") for each in ASKED]
    pool, again = Always("wrong", 0.0), Always("wrong", 0.0)
    for each, asked in ((pool, many), (again, many[::-1])):
        self_test.check(each, asked, PASS_THRESHOLDS, 1)
    assert len(pool.asked) >= 2 * 3 * self_test.QUESTIONS
    assert {request.prompt for request in pool.asked} == {request.prompt for request in again.asked}


def test_check_constraints_that_cannot_be_verified_are_found():
    asked = testing.question(
        "Write", None, category="instruction_following", constraints='{"instruction_id_list": ["no:such"], "kwargs": [{}]}'
    )
    with VerifierPool(20, workers=1) as pool, pytest.raises(TooManyErrors, match="unknown constraint id 'no:such'"):
        self_test.check(pool, [asked], PASS_THRESHOLDS, 0.25)


def test_check_leaves_out_what_models_judge():
    pool = Always("wrong", 0.0)
    assert self_test.check(pool, [testing.question(category="science")], PASS_THRESHOLDS, 0) == {
        "n_self_test": 0,
        "n_self_test_failed": 0,
    }
    assert pool.asked == []


SKY = [testing.question(f"Why is {thing}?", f"because of {thing}", category="science") for thing in ("rain", "snow", "hail")]


@pytest.mark.parametrize(
    ("judge", "kappa"),
    [
        (lambda same: 5 if same else 0, 1.0),
        (lambda same: 5, 0.0),
        (lambda same: 0 if same else 5, -1.0),
    ],
)
def test_check_judges_measures_agreement_with_known_answers(judge, kappa):
    def reply(request):
        content = request.messages[0]["content"]
        reference = content.split("Reference answer:\n")[1].split("\n")[0]
        return json.dumps({"reason": "", "score": judge(f"| {reference}" in content)})

    judges = Judges(JudgeConfig(model="judge", engine="transformers"), None)
    judges._engine = testing.ScriptedEngine(reply)
    pool = Always("wrong", 0.0)
    assert self_test.check_judges(judges, pool, SKY, PASS_THRESHOLDS, -1) == {"judge_kappa/science": kappa}
    if kappa < 0.5:
        with pytest.raises(TooManyErrors, match="min_judge_kappa is 0.5"):
            self_test.check_judges(judges, pool, SKY, PASS_THRESHOLDS, 0.5)
