import pytest

import stillhouse as sh
from stillhouse import testing
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.stages import questions, verified
from stillhouse.vocabulary.rows import Question, Response

SOURCE = {"kind": "arithmetic", "name": "toy", "count": 5, "families": {"add-1": 1}, "distinct": True}


def test_run_makes_the_output_once_and_skips_it_then(tmp_path):
    output = tmp_path / "questions" / "toy" / "1"
    first = sh.run("questions", {"sources": [SOURCE]}, output=output)
    again = sh.run("questions", questions.Config(sources=[SOURCE]), output=str(output))
    assert (first.skipped, again.skipped, again.manifest.fingerprint) == (False, True, first.manifest.fingerprint)
    assert sh.read(output).height == 5


def test_run_input_may_be_one_uri_a_path_or_a_list(tmp_path):
    rows = testing.questions(3)
    asked, answers = tmp_path / "questions" / "x" / "1", tmp_path / "responses" / "x" / "1"
    testing.publish(rows, Question, str(asked))
    testing.publish([testing.response(row) for row in rows], Response, str(answers))
    for number, given in enumerate([str(answers), answers, [str(answers)]]):
        inputs = {"questions": str(asked), "responses": given}
        result = sh.run("verified", inputs=inputs, output=tmp_path / "verified" / str(number) / "1")
        assert result.manifest.rows == 3


@pytest.mark.parametrize(
    ("stage", "arguments", "error", "says"),
    [
        ("verifed", {}, BadConfig, "did you mean verified"),
        ("registry", {"shard": "0/2"}, BadConfig, "registry cannot be sharded: it registers one model"),
        ("questions", {"config": {"sorces": []}}, BadConfig, "did you mean sources"),
        ("questions", {"config": "laptop/question"}, BadConfig, "did you mean @laptop/questions"),
        ("questions", {"config": 3}, TypeError, "a int is not a QuestionsConfig"),
        ("questions", {"config": verified.Config()}, TypeError, "is not a QuestionsConfig"),
        ("verified", {"inputs": {"questions": 3}}, TypeError, r"inputs\['questions'\]: 3 is not a URI"),
        ("verified", {"inputs": {"questions": "/nowhere/questions/x/1", "responses": "/nowhere/r/x/1"}}, MissingInput, "nowhere"),
    ],
)
def test_run_wrong_use_is_refused(tmp_path, stage, arguments, error, says):
    with pytest.raises(error, match=says):
        sh.run(stage, output=tmp_path / stage / "x" / "1", **arguments)


def test_load_recipe_is_the_stages_config_with_the_packaged_values():
    config = sh.load_recipe("laptop/questions")
    assert isinstance(config, questions.Config)
    assert config.sources
    assert sh.load_recipe("@laptop/questions") == config


def test_load_recipe_unknown_name_names_the_nearest():
    with pytest.raises(BadConfig, match="did you mean laptop/questions"):
        sh.load_recipe("laptop/questons")
