from dataclasses import replace
from types import SimpleNamespace

import pytest

from stillhouse import rows, testing
from stillhouse.errors import EngineFailed, NothingToDo
from stillhouse.rows import Question, Response
from stillhouse.sampling import engine as engines
from stillhouse.sampling import parts
from stillhouse.shards import Shard
from stillhouse.stage import execute
from stillhouse.stages import responses

CONFIG = responses.Config(model="toy", samples=3, engine="transformers", system_prompt="none", suffix="none")


@pytest.fixture
def engine(monkeypatch) -> testing.ScriptedEngine:
    """Every load gives this engine; ``script`` answers with the row's seed too, so that no two rows are alike."""
    made = testing.ScriptedEngine(lambda request: f"{testing.right_answer(request)}{request.seed}")
    monkeypatch.setattr(engines, "load", lambda sampling, model: made)
    return made


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_RESPONSES", 4)


def publish(tmp_path, count=5) -> str:
    uri = (tmp_path / "questions" / "toy" / "1").as_uri()
    testing.publish(testing.questions(count), Question, uri)
    return uri


def run(tmp_path, version="1", shard=None):
    given = {"questions": [(tmp_path / "questions" / "toy" / "1").as_uri()]}
    output = tmp_path / "responses" / "toy" / version
    return output, execute(responses, CONFIG, given, output.as_uri(), shard).manifest


def read(output):
    return sorted(rows.read(output, Response), key=rows.response_key)


def test_responses_every_question_gets_its_samples_under_unique_keys(tmp_path, engine):
    publish(tmp_path)
    output, manifest = run(tmp_path)
    made = read(output)
    assert len(made) == 15 == len({rows.response_key(row) for row in made}) == manifest.rows
    assert {(row.question_id, row.sample_index) for row in made} == {
        (each.question_id, index) for each in testing.questions(5) for index in range(3)
    }
    assert {(row.model, row.prompt_kind, row.round, row.sampling_id) for row in made} == {
        ("toy", "question", 1, CONFIG.sampling_id)
    }
    assert len({row.seed for row in made}) == 15
    assert (manifest.metrics["n_responses"], manifest.metrics["n_truncated"], manifest.metrics["think_and_answer_share"]) == (
        15,
        0,
        1,
    )
    assert manifest.metrics["n_completion_tokens"] == sum(row.completion_tokens for row in made)


def test_responses_counts_what_is_cut_or_without_a_part(tmp_path, monkeypatch):
    publish(tmp_path, 1)

    def sample(requests):
        for place, request in enumerate(requests):
            text, reason = (("<think>and so on", "length"), ("<answer>7</answer>", "stop"), ("<think>7</think>7", "stop"))[place]
            yield request, engines.Completion(text, reason, 1, 1)

    monkeypatch.setattr(engines, "load", lambda sampling, model: SimpleNamespace(sample=sample))
    output, manifest = run(tmp_path)
    assert [(row.think, row.answer) for row in read(output)] == [(None, None), (None, "7"), ("7", "7")]
    assert manifest.metrics["n_truncated"] == 1
    assert manifest.metrics["think_and_answer_share"] == pytest.approx(1 / 3)


def test_responses_killed_half_way_asks_only_for_what_is_missing(tmp_path, engine):
    publish(tmp_path)
    whole, _ = run(tmp_path, "whole")
    script, engine.asked = engine.script, []

    def dying(request):
        if len(engine.asked) == 11:
            raise EngineFailed("the GPU fell off the bus")
        return script(request)

    engine.script = dying
    with pytest.raises(EngineFailed):
        run(tmp_path)
    assert len(rows.parts(tmp_path / "responses" / "toy" / "1")) == 3, "the third was published as far as it was"
    engine.script, engine.asked = script, []
    output, manifest = run(tmp_path)
    assert len(engine.asked) == 15 - 10, "all but what was answered before the failure"
    assert read(output) == read(whole)
    assert manifest.metrics["n_responses"] == manifest.rows == 15


def test_responses_all_parts_finished_loads_no_model(tmp_path, engine, monkeypatch):
    publish(tmp_path)
    output, _ = run(tmp_path)
    finished = tmp_path / "finished"
    output.rename(finished)
    monkeypatch.setattr(engines, "load", lambda sampling, model: pytest.fail("a model was loaded for nothing"))
    scratch = tmp_path / "scratch"
    inputs = responses.Inputs(scratch=scratch, questions=tmp_path / "questions" / "toy" / "1", finished=finished)
    scratch.mkdir()
    responses.run(CONFIG, inputs)
    assert read(inputs.output) == read(finished)


def test_responses_shards_together_are_the_whole(tmp_path, engine):
    publish(tmp_path)
    whole, one = run(tmp_path, "whole")
    for index in (2, 0, 1):
        sharded, manifest = run(tmp_path, "sharded", Shard(index, 3))
    assert manifest.shards == ["0-of-3", "1-of-3", "2-of-3"]
    assert read(sharded) == read(whole)
    assert manifest.rows == one.rows
    assert manifest.metrics["n_responses"] == one.metrics["n_responses"]


def test_responses_shard_without_a_key_is_empty_and_the_whole_is_still_put_together(tmp_path, engine):
    publish(tmp_path, 1)
    for index in range(3):
        sharded, manifest = run(tmp_path, "sharded", Shard(index, 3))
    assert manifest.shards == ["0-of-3", "1-of-3", "2-of-3"]
    assert len(read(sharded)) == 3


def test_responses_to_no_question_is_nothing_to_do(tmp_path, engine):
    publish(tmp_path, 0)
    with pytest.raises(NothingToDo, match="no row"):
        run(tmp_path)


def test_responses_order_of_questions_changes_no_row(tmp_path, engine):
    publish(tmp_path)
    output, _ = run(tmp_path)
    testing.publish(testing.questions(5)[::-1], Question, (tmp_path / "reversed" / "toy" / "1").as_uri())
    inputs = responses.Inputs(scratch=tmp_path / "scratch", questions=tmp_path / "reversed" / "toy" / "1")
    responses.run(CONFIG, inputs)
    assert read(inputs.output) == read(output)


def test_responses_are_asked_with_the_prompts_of_the_config(tmp_path, engine):
    publish(tmp_path, 1)
    inputs = responses.Inputs(scratch=tmp_path / "scratch", questions=tmp_path / "questions" / "toy" / "1")
    responses.run(CONFIG.model_copy(update={"system_prompt": "think_answer", "suffix": "boxed", "samples": 1}), inputs)
    (request,) = engine.asked
    assert [message["role"] for message in request.messages] == ["system", "user"]
    assert request.messages[1]["content"].startswith("What is 0 + 7?\nLet's think step by step")
    assert replace(request, messages=[]).key == (testing.questions(1)[0].question_id, "toy", "question", 1, 0)
