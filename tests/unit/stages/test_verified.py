from dataclasses import replace

import pytest

from stillhouse import rows, testing
from stillhouse.errors import BadRows, NothingToDo, TooManyErrors
from stillhouse.grading import PassThresholds
from stillhouse.rows import Question, Response, Verified
from stillhouse.stage import Shard
from stillhouse.stages import verified
from stillhouse.verification.pool import Verdict

ASKED = testing.questions(6)


def write(tmp_path, responses, asked=ASKED):
    rows.write(tmp_path / "questions", asked, Question)
    rows.write(tmp_path / "responses", responses, Response)


def run(tmp_path, config=None, **changes):
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    inputs = verified.Inputs(scratch=scratch, questions=tmp_path / "questions", responses=(tmp_path / "responses",), **changes)
    outputs = verified.run(verified.Config(**(config or {})), inputs)
    return outputs, list(rows.read(scratch / "output", Verified))


class Pool:
    """A pool that fails on everything the first ``failures`` times, and then says correct."""

    def __init__(self, failures):
        self.failures, self.asked = failures, []

    def verify(self, requests):
        for request in requests:
            self.asked.append(request)
            failed = len(self.asked) <= self.failures
            yield Verdict("timeout", None, "fake") if failed else Verdict("correct", 1.0, "fake")


def test_verified_every_response_gets_its_row_in_order(tmp_path):
    made = [testing.response(each, None if index % 2 else "99", sample_index=index) for index, each in enumerate(reversed(ASKED))]
    write(tmp_path, made)
    outputs, found = run(tmp_path)
    assert [rows.response_key(row) for row in found] == [rows.response_key(row) for row in made]
    assert [row.passed for row in found] == [False, True] * 3
    assert outputs.metrics["accuracy/toy"] == 0.5
    assert (outputs.metrics["n_correct"], outputs.metrics["n_wrong"], outputs.metrics["n_timeout"]) == (3, 3, 0)


@pytest.mark.parametrize(
    ("changes", "kind", "passed"),
    [
        ({"think": None, "answer": None, "text": "The answer is \\boxed{7}."}, "correct", True),
        ({"think": None, "answer": None, "text": "<think>0+7=7"}, "no_answer", False),
        ({"think": None, "answer": None, "text": "0+7=7", "finish_reason": "length"}, "truncated", False),
        ({"answer": "seven, surely"}, "malformed", False),
        ({"finish_reason": "error", "answer": None}, "error", None),
    ],
)
def test_verified_kind_of_a_response(tmp_path, changes, kind, passed):
    write(tmp_path, [replace(testing.response(ASKED[0]), **changes)])
    _, found = run(tmp_path, {"max_failure_rate": 1})
    assert (found[0].kind, found[0].passed) == (kind, passed)


def test_verdicts_failure_is_tried_once_more():
    responses = [testing.response(each) for each in ASKED[:2]]
    asked = {each.question_id: each for each in ASKED}
    pool = Pool(failures=2)
    assert [row.kind for row in verified.verdicts(pool, asked, responses)] == ["correct", "correct"]
    assert len(pool.asked) == 4


def test_verdicts_second_failure_stays_and_passes_nothing():
    found = verified.verdicts(Pool(failures=99), {ASKED[0].question_id: ASKED[0]}, [testing.response(ASKED[0])])
    assert [(row.kind, row.verify_score, row.passed) for row in found] == [("timeout", None, None)]


def test_verdicts_threshold_is_strict():
    asked = {ASKED[0].question_id: ASKED[0]}
    made = [verified.verdicts(Pool(0), asked, [testing.response(ASKED[0])], PassThresholds(math=limit)) for limit in (0.99, 1.0)]
    assert [rows_[0].passed for rows_ in made] == [True, False]


def test_verified_hostile_answer_is_a_timeout_and_above_the_ceiling_an_error(tmp_path):
    write(tmp_path, [testing.response(ASKED[0], "\\boxed{9^{9^{9^9}}}"), *(testing.response(each) for each in ASKED[1:])])
    outputs, found = run(tmp_path, {"timeout_s": 1, "max_failure_rate": 0.5})
    assert found[0].kind == "timeout"
    assert outputs.metrics["n_timeout"] == 1
    assert outputs.metrics["accuracy/toy"] == 1.0
    with pytest.raises(TooManyErrors, match="1 of 6"):
        run(tmp_path, {"timeout_s": 1, "max_failure_rate": 0.1})


def test_verified_response_to_an_unknown_question_is_refused(tmp_path):
    write(tmp_path, [testing.response(testing.question("What is 9 + 9?", "18"))])
    with pytest.raises(BadRows, match="which the questions input has not"):
        run(tmp_path)


def test_verified_category_without_verifier_is_refused(tmp_path):
    asked = testing.question("Sing", None, category="poetry")
    write(tmp_path, [testing.response(asked, "x")], [asked])
    with pytest.raises(BadRows, match="'poetry'"):
        run(tmp_path)


def test_verified_without_rows_is_refused(tmp_path):
    write(tmp_path, [])
    with pytest.raises(NothingToDo):
        run(tmp_path)


def test_verified_finished_parts_are_taken_over_and_only_the_rest_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(verified, "PART_RESPONSES", 2)
    write(tmp_path, [testing.response(each) for each in ASKED])
    _, whole = run(tmp_path)
    finished = tmp_path / "finished"
    rows.write_part(finished / "part-00000.parquet", [replace(row, method="kept") for row in whole[:2]], Verified)
    published = []
    _, found = run(tmp_path, finished=finished, publish_part=published.append)
    assert [row.method for row in found] == ["kept", "kept", *["integers"] * 4]
    assert [path.name for path in published] == ["part-00001.parquet", "part-00002.parquet"]


def test_verified_shards_are_disjoint_and_together_the_whole(tmp_path):
    write(tmp_path, [testing.response(each) for each in ASKED])
    found = [row.question_id for index in range(2) for row in run(tmp_path, shard=Shard(index, 2))[1]]
    assert sorted(found) == sorted(each.question_id for each in ASKED)
