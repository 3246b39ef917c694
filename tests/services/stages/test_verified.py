from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, BadRows, NothingToDo, TooManyErrors
from stillhouse.execution.execute import execute
from stillhouse.stages import verified
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Mark, Question, Response, Verified
from stillhouse.vocabulary.shards import Shard

ASKED = testing.questions(6)
NO_COMMA = '{"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}'


def write(tmp_path, responses, asked=ASKED):
    tables.write(tmp_path / "questions", asked, Question)
    tables.write(tmp_path / "responses", responses, Response)


def run(tmp_path, config=None, **changes):
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    inputs = verified.Inputs(scratch=scratch, questions=tmp_path / "questions", responses=(tmp_path / "responses",), **changes)
    outputs = verified.run(verified.Config(**(config or {})), inputs)
    return outputs, list(tables.read(scratch / "output", Verified))


def test_verified_every_response_gets_its_row_in_order(tmp_path):
    made = [testing.response(each, None if index % 2 else "99", sample_index=index) for index, each in enumerate(reversed(ASKED))]
    write(tmp_path, made)
    outputs, found = run(tmp_path)
    assert [rows.response_key(row) for row in found] == [rows.response_key(row) for row in made]
    assert [row.passed for row in found] == [False, True] * 3
    assert outputs.metrics["accuracy/toy"] == 0.5
    assert (outputs.metrics["n_correct"], outputs.metrics["n_wrong"], outputs.metrics["n_timeout"]) == (3, 3, 0)


def test_verified_counts_of_every_kind_are_curves_over_the_responses_and_end_in_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr(verified, "PART_RESPONSES", 2)
    failed = {"finish_reason": "error", "answer": None}
    write(tmp_path, [replace(testing.response(each), **(failed if index > 2 else {})) for index, each in enumerate(ASKED)])
    logged = {}
    outputs, _ = run(tmp_path, {"max_failure_rate": 1}, log=lambda numbers, step: logged.setdefault(step, numbers))
    rates = [numbers.pop("verifier_failure_rate") for numbers in logged.values()]
    assert rates == [0, 0.25, 0.5]
    curves = {name: [numbers[name] for numbers in logged.values()] for name in ("n_correct", "n_error", "n_timeout")}
    assert (list(logged), curves) == ([2, 4, 6], {"n_correct": [2, 3, 3], "n_error": [0, 1, 3], "n_timeout": [0, 0, 0]})
    assert logged[6].items() <= outputs.metrics.items()


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


def test_verified_hostile_answer_is_wrong_and_no_failure_of_the_verifier(tmp_path):
    write(tmp_path, [testing.response(ASKED[0], "\\boxed{9^{9^{9^9}}}"), *(testing.response(each) for each in ASKED[1:])])
    outputs, found = run(tmp_path, {"timeout_s": 1, "max_failure_rate": 0})
    assert (found[0].kind, found[0].detail.split(":")[0]) == ("wrong", "unreasonable")
    assert outputs.metrics["accuracy/toy"] == pytest.approx(5 / 6)


def test_verified_responses_to_dropped_questions_are_let_go_and_counted(tmp_path):
    write(tmp_path, [testing.response(testing.question("What is 9 + 9?", "18")), testing.response(ASKED[0])])
    outputs, found = run(tmp_path)
    assert ([row.question_id for row in found], outputs.dropped) == ([ASKED[0].question_id], {"unknown_question": 1})


def test_verified_responses_of_which_none_answers_a_question_are_refused(tmp_path):
    write(tmp_path, [testing.response(testing.question("What is 9 + 9?", "18"))])
    with pytest.raises(BadRows, match="verified: none of 1 responses answers a question of the questions input"):
        run(tmp_path)


def test_verified_category_that_a_model_judges_needs_one_in_the_config(tmp_path):
    asked = testing.question("Why is the sky blue?", "Rayleigh scattering", category="science")
    write(tmp_path, [testing.response(asked, "x")], [asked])
    with pytest.raises(BadConfig, match="science.*`judge` is not set"):
        run(tmp_path)
    with pytest.raises(BadConfig, match="second_stage asks a judge"):
        run(tmp_path, {"second_stage": True})


def test_verified_all_kinds_of_rules_in_one_run_are_counted_by_category_and_method(tmp_path):
    following = testing.question("No commas, please.", None, category="instruction_following", constraints=NO_COMMA)
    unknown = testing.question("Do it", None, category="instruction_following", constraints=NO_COMMA.replace("no_comma", "none"))
    made = [testing.response(following, "one two"), testing.response(following, "one, two", sample_index=1)]
    write(tmp_path, [testing.response(ASKED[0]), *made, testing.response(unknown, "x")], [*ASKED, following, unknown])
    outputs, found = run(tmp_path, {"max_failure_rate": 0.5, "self_test": False, "timeout_s": 20})
    assert [row.kind for row in found] == ["correct", "correct", "wrong", "error"]
    assert "unknown constraint id" in found[3].detail
    assert outputs.metrics["n_by_category/instruction_following/error"] == 1
    assert outputs.metrics["n_by_method/exact"] == 1
    assert outputs.metrics["accuracy_by_category/instruction_following/toy"] == 0.5


@pytest.mark.parametrize("reference", [None, " ", "\\frac{1}{}{"])
def test_verified_reference_that_cannot_be_read_is_an_error_and_says_so(tmp_path, reference):
    asked = replace(ASKED[0], reference_answer=reference)
    write(tmp_path, [testing.response(asked, "\\boxed{7}")], [asked])
    outputs, found = run(tmp_path, {"max_failure_rate": 1, "self_test": False, "timeout_s": 20})
    assert (found[0].kind, found[0].verify_score) == ("error", None)
    assert "reference" in found[0].detail
    assert outputs.metrics["n_error"] == 1


def test_verified_earlier_verdicts_are_taken_over_where_key_and_content_are_equal(tmp_path):
    write(tmp_path, [testing.response(each) for each in ASKED])
    _, first = run(tmp_path)
    marked = [replace(row, method="earlier") for row in first]
    tables.write(tmp_path / "previous", [*marked[:4], replace(marked[4], kind="error", verify_score=None)], Verified)
    changed = [testing.response(ASKED[0], "99"), *(testing.response(each) for each in ASKED[1:])]
    write(tmp_path, changed)
    outputs, found = run(tmp_path, {"pass_thresholds": {"math": 1}, "self_test": False}, previous=tmp_path / "previous")
    assert [row.method for row in found] == ["exact", "earlier", "earlier", "earlier", "exact", "exact"]
    assert [row.kind for row in found] == ["wrong", *["correct"] * 5]
    assert not any(row.passed for row in found)
    assert outputs.metrics["n_reused"] == 3


def test_verified_previous_changes_no_fingerprint_and_is_read_from_an_artifact(tmp_path):
    testing.publish(ASKED, Question, f"{tmp_path}/questions/toy/1")
    testing.publish([testing.response(each) for each in ASKED], Response, f"{tmp_path}/responses/toy/1")
    inputs = {"questions": [f"{tmp_path}/questions/toy/1"], "responses": [f"{tmp_path}/responses/toy/1"]}
    earlier = f"{tmp_path}/verified/toy/1"
    first = execute(verified, verified.Config(), inputs, earlier).manifest
    config = verified.Config(self_test=False)
    second = execute(verified, config, {**inputs, "previous": [earlier]}, f"{tmp_path}/verified/toy/2").manifest
    assert (first.metrics["n_reused"], second.metrics["n_reused"]) == (0, 6)
    again = execute(verified, config, inputs, f"{tmp_path}/verified/toy/3")
    assert (again.skipped, again.manifest.fingerprint) == (True, second.fingerprint)


def test_verified_self_test_refuses_a_source_whose_references_do_not_pass(tmp_path):
    broken = [replace(each, reference_answer="\\frac{1}{}{", source="torn") for each in ASKED]
    write(tmp_path, [testing.response(each, "7") for each in broken], broken)
    with pytest.raises(TooManyErrors, match="the reference is judged wrongly for 6 of 6 math questions of source 'torn'"):
        run(tmp_path, {"timeout_s": 20})


def test_verified_self_test_counts_what_it_tried(tmp_path):
    write(tmp_path, [testing.response(each) for each in ASKED])
    outputs, _ = run(tmp_path)
    assert (outputs.metrics["n_self_test"], outputs.metrics["n_self_test_failed"]) == (18, 0)
    outputs, _ = run(tmp_path, {"self_test": False})
    assert "n_self_test" not in outputs.metrics


def test_verified_without_rows_is_refused(tmp_path):
    write(tmp_path, [])
    with pytest.raises(NothingToDo):
        run(tmp_path)


def test_verified_finished_parts_are_taken_over_and_only_the_rest_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(verified, "PART_RESPONSES", 2)
    write(tmp_path, [testing.response(each) for each in ASKED])
    _, whole = run(tmp_path)
    finished = tmp_path / "finished"
    tables.write_part(finished / "part-00000.parquet", [replace(row, method="kept") for row in whole[:2]], Verified)
    published = []
    _, found = run(tmp_path, finished=finished, publish_part=published.append)
    assert [row.method for row in found] == ["kept", "kept", *["exact"] * 4]
    assert [path.name for path in published] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]


def test_verified_what_the_verifier_failed_on_in_an_earlier_try_is_tried_again(tmp_path):
    write(tmp_path, [testing.response(each) for each in ASKED])
    _, whole = run(tmp_path)
    failed = [replace(row, kind="timeout", verify_score=None, passed=None, method="kept") for row in whole[:3]]
    tables.write_part(tmp_path / "finished" / "part-00000.parquet", [*failed, replace(whole[3], method="kept")], Verified)
    outputs, found = run(tmp_path, finished=tmp_path / "finished")
    assert [row.method for row in found] == [*["exact"] * 3, "kept", *["exact"] * 2]
    assert (outputs.metrics["n_timeout"], outputs.metrics["n_correct"]) == (0, 6)


def test_verified_shards_are_disjoint_and_together_the_whole(tmp_path):
    write(tmp_path, [testing.response(each) for each in ASKED])
    found = [row.question_id for index in range(2) for row in run(tmp_path, shard=Shard(index, 2))[1]]
    assert sorted(found) == sorted(each.question_id for each in ASKED)


OWN_RULE = """
from stillhouse.verification.verdict import Verdict
from stillhouse.verification.verifier import Verifier


class SameText(Verifier):
    method = "same text"

    def fast_path(self, request):
        return Verdict("correct", 5.0, self.method) if request.answer == request.reference else super().fast_path(request)

    def verify(self, request):
        return Verdict("wrong", 0.0, self.method)
"""


def test_verified_verifier_of_the_user_s_own_needs_no_judge_and_its_version_decides_what_is_reused(tmp_path, monkeypatch):
    module = tmp_path / "own_rule.py"
    module.write_text(OWN_RULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asked = [testing.question("Sky", "blue", category="science"), testing.question("Sea", "blue", category="science")]
    write(tmp_path, [testing.response(asked[0]), testing.response(asked[1], "green")], asked)
    config = {"verifiers": {"science": "own_rule:SameText"}, "timeout_s": 20}
    first, found = run(tmp_path, config)
    assert [(row.kind, row.passed, row.method) for row in found] == [("correct", True, "same text"), ("wrong", False, "same text")]
    tables.write(tmp_path / "earlier", found, Verified)
    assert (first.metrics["n_reused"], run(tmp_path, config, previous=tmp_path / "earlier")[0].metrics["n_reused"]) == (0, 2)
    module.write_text(f"{OWN_RULE}\n# another version\n")
    assert run(tmp_path, config, previous=tmp_path / "earlier")[0].metrics["n_reused"] == 0


def test_verified_measures_itself_on_the_marks_of_people(tmp_path):
    """The verifier passes 7, 8 and fails 99: a person agrees on 7 and 99, not on 8, and calls a wrongly failed answer right."""
    write(tmp_path, [testing.response(ASKED[0])])
    answers = [(0, "7", True, True), (1, "8", True, False), (2, "99", False, True), (3, "not a number", False, False)]
    marks = [
        Mark(
            ASKED[index].question_id, "toy", "question", 1, 0, "math", ASKED[index].messages, ASKED[index].reference_answer, None,
            None, f"<think>t</think><answer>{answer}</answer>", "correct" if passed else "wrong", passed,
            right, "exact", "ann", "",
        )
        for index, answer, passed, right in answers
    ]  # fmt: skip
    tables.write(tmp_path / "marks", marks, Mark)
    outputs, _ = run(tmp_path, marks=(tmp_path / "marks",))
    names = ("n_marks", "n_marks_pass", "n_marks_should_pass", "n_marks_pass_rightly", "n_marks_failed")
    assert [outputs.metrics[name] for name in names] == [4, 2, 2, 1, 0]
    assert (outputs.metrics["marks/precision"], outputs.metrics["marks/recall"]) == (0.5, 0.5)
    assert outputs.metrics["marks/recall_low"] < 0.5 < outputs.metrics["marks/recall_high"]


def test_verified_without_marks_has_no_metrics_of_them(tmp_path):
    write(tmp_path, [testing.response(ASKED[0])])
    outputs, _ = run(tmp_path)
    assert [name for name in outputs.metrics if "marks" in name] == []
