from dataclasses import replace

from stillhouse import testing
from stillhouse.verification import scoring
from stillhouse.verification.verdict import Verdict, VerificationRequest
from stillhouse.verification.verifier import LoadedVerifiers
from stillhouse.vocabulary import rows

ASKED = testing.questions(6)


class Pool:
    """A pool that fails on everything the first ``failures`` times, and then says correct."""

    def __init__(self, failures):
        self.failures, self.asked = failures, []
        self.verifiers = LoadedVerifiers({})

    def extension(self, category):
        return ""

    def verify(self, requests):
        for request in requests:
            self.asked.append(request)
            failed = len(self.asked) <= self.failures
            yield Verdict("timeout", None, "fake") if failed else Verdict("correct", 1.0, "fake")


def test_verdicts_failure_is_tried_once_more():
    responses = [testing.response(each) for each in ASKED[:2]]
    asked = {each.question_id: each for each in ASKED}
    pool = Pool(failures=2)
    assert [row.kind for row in scoring.verdicts(pool, asked, responses)] == ["correct", "correct"]
    assert len(pool.asked) == 4


def test_verdicts_timeouts_are_tried_again_one_at_a_time():
    sizes = []

    class Batches(Pool):
        def verify(self, requests):
            verdicts = list(super().verify(requests))
            sizes.append(len(verdicts))
            return iter(verdicts)

    responses = [testing.response(each) for each in ASKED[:3]]
    scoring.verdicts(Batches(failures=3), {each.question_id: each for each in ASKED}, responses)
    assert [size for size in sizes if size] == [3, 1, 1, 1]


def test_verdicts_second_failure_stays_and_passes_nothing():
    found = scoring.verdicts(Pool(failures=99), {ASKED[0].question_id: ASKED[0]}, [testing.response(ASKED[0])])
    assert [(row.kind, row.verify_score, row.passed) for row in found] == [("timeout", None, None)]


def test_verdicts_threshold_is_strict():
    asked = {ASKED[0].question_id: ASKED[0]}
    made = [scoring.verdicts(Pool(0), asked, [testing.response(ASKED[0])], {"math": limit}) for limit in (0.99, 1.0)]
    assert [rows_[0].passed for rows_ in made] == [True, False]


def test_verdicts_earlier_failure_is_made_again():
    asked = {ASKED[0].question_id: ASKED[0]}
    given = testing.response(ASKED[0])
    earlier = scoring.verdicts(Pool(failures=99), asked, [given])
    pool = Pool(0)
    found = scoring.verdicts(pool, asked, [given], previous={rows.response_key(given): earlier[0]})
    assert [row.kind for row in found] == ["correct"]
    again = scoring.verdicts(Pool(failures=99), asked, [given], previous={rows.response_key(given): found[0]})
    assert again == found


def test_content_id_changes_with_all_that_a_verdict_depends_on():
    base = VerificationRequest("math", "7", "7", "stop", "[]", "{}", "Why?")
    others = {"answer": "8", "reference": "8", "finish_reason": "length", "test_cases": None, "constraints": None, "prompt": "How?"}
    ids = {scoring.content_id(base, ""), scoring.content_id(base, "judge")}
    ids |= {scoring.content_id(replace(base, **{name: value}), "") for name, value in others.items()}
    assert len(ids) == 2 + len(others)
