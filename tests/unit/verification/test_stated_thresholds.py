import pyarrow.parquet as pq
import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig
from stillhouse.execution.contract import Outputs
from stillhouse.execution.execute import execute
from stillhouse.stages import responses, verified
from stillhouse.verification import stated_thresholds
from stillhouse.vocabulary.categories import PASS_THRESHOLDS
from stillhouse.vocabulary.rows import Question, Response, Verified

ASKED = testing.questions(2)


@pytest.fixture
def sampled(tmp_path, monkeypatch):
    """An artifact of responses that were sampled until verdicts, with pass thresholds of 0.5 for math and code."""

    def run(config, inputs):
        tables.write(inputs.output, [testing.response(each) for each in ASKED], Response)
        return Outputs()

    monkeypatch.setattr(responses, "run", run)
    testing.publish(ASKED, Question, f"{tmp_path}/questions/toy/1")
    config = responses.Config(model="toy", until="verified", pass_thresholds={"math": 0.5, "code": 0.5})
    execute(responses, config, {"questions": [f"{tmp_path}/questions/toy/1"]}, f"{tmp_path}/responses/toy/1")
    return f"{tmp_path}/responses/toy/1"


def test_verified_refuses_responses_that_were_sampled_until_verdicts_by_another_threshold(tmp_path, sampled):
    inputs = {"questions": [f"{tmp_path}/questions/toy/1"], "responses": [sampled]}
    with pytest.raises(BadConfig, match=r"pass_thresholds.math is 0.99, but .*until verified with 0.5; set both to one value"):
        execute(verified, verified.Config(), inputs, f"{tmp_path}/verified/toy/1")


def test_refuse_others_looks_at_the_categories_of_the_questions_alone(sampled):
    thresholds = {**PASS_THRESHOLDS, "math": 0.5}
    stated_thresholds.refuse_others([sampled], thresholds, {"math"})
    with pytest.raises(BadConfig, match=r"pass_thresholds.code is 0.99"):
        stated_thresholds.refuse_others([sampled], thresholds, {"math", "code"})


def test_refuse_others_takes_responses_that_were_not_sampled_by_verdicts(tmp_path):
    uri = f"{tmp_path}/responses/toy/2"
    testing.publish([testing.response(ASKED[0])], Response, uri)
    assert stated_thresholds.refuse_others([uri], {**PASS_THRESHOLDS, "math": 0.1}, {"math"}) is None


def test_earlier_verdicts_without_a_threshold_are_not_taken_over_and_one_line_says_so(tmp_path, capsys):
    tables.write(tmp_path / "new", [testing.verified(testing.response(each)) for each in ASKED], Verified)
    (path,) = tables.parts(tmp_path / "new")
    tables.write_table(tmp_path / "old" / path.name, pq.read_table(path).drop_columns(["threshold"]))
    assert stated_thresholds.if_stated(None) is None
    assert stated_thresholds.if_stated(tmp_path / "new") == tmp_path / "new"
    assert capsys.readouterr().err == ""
    assert stated_thresholds.if_stated(tmp_path / "old") is None
    assert capsys.readouterr().err.count("\n") == 1
