import polars as pl
import pytest

import stillhouse as sh
from stillhouse import testing
from stillhouse.benchmarks import intervals
from stillhouse.errors import BadRows, MissingInput, NothingToDo
from stillhouse.sampling import engine
from stillhouse.vocabulary.rows import Question

BY_QUESTION = [[True, False], [True, True], [False, False], [True, False]]


def frame(outcomes=BY_QUESTION, **columns):
    rows = [{"question_id": str(number), "passed": passed} for number, samples in enumerate(outcomes) for passed in samples]
    return pl.DataFrame(rows).with_columns(**{name: pl.lit(value) for name, value in columns.items()})


def report(tmp_path, name, monkeypatch, wrong):
    """A report of a model that answers wrongly where ``wrong`` is in the question."""
    monkeypatch.setattr(engine, "load", lambda sampling, model: testing.ScriptedEngine(lambda request: answered(request, wrong)))
    output = tmp_path / "report" / name / "1"
    sh.run("report", {"benchmarks": ["arithmetic-toy"], "samples": 2, "model": name}, output=output)
    return output


def answered(request, wrong):
    text = testing.right_answer(request)
    return "<think>No.</think><answer>\\boxed{-1}</answer>" if wrong in request.messages[0]["content"] else text


@pytest.mark.parametrize("passed", [BY_QUESTION, frame(), frame(model="m", round=1)])
def test_pass_at_1_of_lists_and_of_a_frame_is_that_of_the_benchmarks(passed):
    assert sh.pass_at_1(passed) == intervals.pass_at_1(BY_QUESTION)


def test_pass_at_1_one_boolean_per_question_and_unverified_samples_left_out():
    assert sh.pass_at_1([True, False, None, True]) == intervals.pass_at_1([[True], [False], [True]])
    unverified = frame([*BY_QUESTION, [None, None]])
    assert sh.pass_at_1(unverified) == intervals.pass_at_1(BY_QUESTION)


@pytest.mark.parametrize(
    ("passed", "error", "says"),
    [
        (frame().drop("passed"), BadRows, "no column passed"),
        (pl.concat([frame(model="a"), frame(model="b")]), BadRows, r"2 values of model \(a, b\); filter to one"),
        ([], NothingToDo, "no questions"),
        ([[1, 0]], TypeError, "question 0 has 1, not a boolean"),
        ("yes", TypeError, "a str; give a frame"),
        (3, TypeError, "a int; give a frame"),
    ],
)
def test_pass_at_1_wrong_input_is_refused(passed, error, says):
    with pytest.raises(error, match=says):
        sh.pass_at_1(passed)


def test_compare_gives_the_paired_difference_of_each_benchmark_and_round(tmp_path, monkeypatch):
    better, worse = report(tmp_path, "better", monkeypatch, "never"), report(tmp_path, "worse", monkeypatch, "1")
    compared = sh.compare(better, worse)
    (row,) = compared.to_dicts()
    outcomes = {name: sh.read(uri) for name, uri in (("better", better), ("worse", worse))}
    assert (row["benchmark"], row["round"], row["questions"]) == ("arithmetic-toy", 1, outcomes["worse"]["question_id"].n_unique())
    assert row["pass_at_1_a"] == 1
    assert row["pass_at_1_b"] == pytest.approx(outcomes["worse"]["passed"].mean())
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["difference"] == pytest.approx(1 - row["pass_at_1_b"])
    assert sh.pass_at_1(outcomes["worse"]).mean == pytest.approx(row["pass_at_1_b"])


def test_compare_needs_two_reports(tmp_path):
    testing.publish(testing.questions(1), Question, f"{tmp_path}/questions/x/1")
    with pytest.raises(MissingInput, match="is a questions artifact; give a report"):
        sh.compare(f"{tmp_path}/questions/x/1", f"{tmp_path}/questions/x/1")
