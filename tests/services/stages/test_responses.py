import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, EngineFailed, MissingInput, NothingToDo, TooManyErrors
from stillhouse.execution.execute import execute
from stillhouse.sampling import answering, published_parts
from stillhouse.sampling import engine as engines
from stillhouse.stages import responses
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Question, Response
from stillhouse.vocabulary.shards import Shard
from tests.endpoint import endpoint

CONFIG = responses.Config(model="toy", samples=3, engine="transformers", system_prompt="none", suffix="none")


@pytest.fixture
def engine(monkeypatch) -> testing.ScriptedEngine:
    """Every load gives this engine; ``script`` answers with the row's seed too, so that no two rows are alike."""
    made = testing.ScriptedEngine(lambda request: f"{testing.right_answer(request)}{request.seed}")
    monkeypatch.setattr(engines, "load", lambda sampling, model: made)
    return made


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(published_parts, "PART_RESPONSES", 4)


def publish(tmp_path, asked=5, version="1") -> str:
    """An artifact of these questions, or of so many."""
    uri = (tmp_path / "questions" / "toy" / version).as_uri()
    testing.publish(testing.questions(asked) if isinstance(asked, int) else asked, Question, uri)
    return uri


def run(tmp_path, version="1", shard=None, config=CONFIG, questions="1", **inputs):
    """``inputs``: further ones, each a path."""
    given = {"questions": [(tmp_path / "questions" / "toy" / questions).as_uri()]}
    given |= {name: [path.as_uri()] for name, path in inputs.items()}
    output = tmp_path / "responses" / "toy" / version
    return output, execute(responses, config, given, output.as_uri(), shard).manifest


def whole_of(tmp_path, asked=5, **options):
    """The same work, done in one go in another store: in one store it would be reused."""
    publish(tmp_path / "other-store", asked)
    return run(tmp_path / "other-store", **options)


def changed(**changes):
    return responses.Config.model_validate(CONFIG.model_dump() | changes)


def read(output):
    return sorted(tables.read(output, Response), key=rows.response_key)


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
    whole, _ = whole_of(tmp_path)
    script, engine.asked = engine.script, []

    def dying(request):
        if len(engine.asked) == 11:
            raise EngineFailed("the GPU fell off the bus")
        return script(request)

    engine.script = dying
    with pytest.raises(EngineFailed):
        run(tmp_path)
    assert len(tables.parts(tmp_path / "responses" / "toy" / "1")) == 3, "the third was published as far as it was"
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
    whole, one = whole_of(tmp_path)
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
    testing.publish(testing.questions(5)[::-1], Question, (tmp_path / "reversed" / "questions" / "toy" / "1").as_uri())
    inputs = responses.Inputs(scratch=tmp_path / "scratch", questions=tmp_path / "reversed" / "questions" / "toy" / "1")
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


def seen(engine):
    """What was asked, as (last message, round, sample)."""
    return [(request.messages[-1]["content"], request.key[3], request.key[4]) for request in engine.asked]


def test_responses_previous_output_is_reused_and_only_new_and_edited_questions_are_asked(tmp_path, engine):
    publish(tmp_path)
    first, _ = run(tmp_path)
    old, engine.asked = {rows.response_key(row): row for row in read(first)}, []
    edited = replace(testing.questions(5)[1], messages=[{"role": "user", "content": "what is 1 + 7?"}])
    assert edited.question_id == testing.questions(5)[1].question_id, "an edit that the id does not see"
    publish(tmp_path, [testing.questions(1)[0], edited, *testing.questions(7)[2:]], "2")
    second, manifest = run(tmp_path, "2", questions="2", previous=first)
    assert sorted({asked for asked, _, _ in seen(engine)}) == ["What is 5 + 7?", "What is 6 + 7?", "what is 1 + 7?"]
    assert (manifest.metrics["n_reused"], manifest.metrics["n_sampled"], manifest.rows) == (12, 9, 21)
    made = {rows.response_key(row): row for row in read(second)}
    assert len(made) == 21
    kept = [key for key in made if key in old and key[0] != edited.question_id]
    assert len(kept) == 12
    assert all(made[key] == old[key] for key in kept)
    publish(tmp_path / "other-store", [testing.questions(1)[0], edited, *testing.questions(7)[2:]], "2")
    again, whole = run(tmp_path / "other-store", "3", questions="2")
    assert read(again) == read(second), "what is reused is what would have been sampled"
    assert whole.fingerprint == manifest.fingerprint


def test_responses_previous_output_of_other_settings_is_not_reused(tmp_path, engine):
    publish(tmp_path)
    first, _ = run(tmp_path)
    _, manifest = run(tmp_path, "2", config=changed(temperature=0.7), previous=first)
    assert (manifest.metrics["n_reused"], manifest.metrics["n_sampled"]) == (0, 15)


def test_responses_previous_output_of_fewer_samples_is_topped_up(tmp_path, engine):
    publish(tmp_path)
    first, _ = run(tmp_path)
    _, manifest = run(tmp_path, "2", config=changed(samples=5), previous=first)
    assert (manifest.metrics["n_reused"], manifest.metrics["n_sampled"]) == (15, 10)


def test_responses_previous_output_of_another_checkpoint_under_the_same_name_is_not_reused(tmp_path, engine):
    publish(tmp_path)
    for version in ("1", "2"):
        testing.publish_files({"weights": version.encode()}, "sft", (tmp_path / "sft" / "toy" / version).as_uri())
    checkpoint = tmp_path / "sft" / "toy"
    first, _ = run(tmp_path, checkpoint=checkpoint / "1")
    fewer = changed(samples=2)
    _, same = run(tmp_path, "2", config=fewer, checkpoint=checkpoint / "1", previous=first)
    _, other = run(tmp_path, "3", config=fewer, checkpoint=checkpoint / "2", previous=first)
    assert [each.metrics["n_reused"] for each in (same, other)] == [10, 0]


def test_responses_killed_while_reusing_takes_over_the_rest(tmp_path, engine):
    publish(tmp_path)
    first, _ = run(tmp_path)
    publish(tmp_path, 8, "2")
    engine.asked = []
    script = engine.script

    def dying(request):
        if len(engine.asked) == 5:
            raise EngineFailed("the GPU fell off the bus")
        return script(request)

    engine.script = dying
    with pytest.raises(EngineFailed):
        run(tmp_path, "2", questions="2", previous=first)
    engine.script, engine.asked = script, []
    output, manifest = run(tmp_path, "2", questions="2", previous=first)
    assert len(engine.asked) == 9 - 4
    assert len(read(output)) == manifest.rows == 24


def test_responses_of_several_models_lie_in_one_artifact_each_with_its_settings(tmp_path, monkeypatch):
    publish(tmp_path, 2)
    loaded = {}

    def load(sampling, model):
        loaded[model] = sampling
        return testing.ScriptedEngine(lambda request: f"<think>{request.seed}</think><answer>{model}</answer>")

    monkeypatch.setattr(engines, "load", load)
    models = {"r1-1.5b": {}, "r1-7b": {"temperature": 0.9}, "r1": {"engine": "openai"}}
    output, manifest = run(tmp_path, config=changed(model=None, models=models, samples=4))
    made = read(output)
    assert manifest.rows == 2 * 3 * 4 == len({row.seed for row in made})
    assert {(row.model, row.answer) for row in made} == {(name, name) for name in models}
    assert [loaded[name].temperature for name in models] == [0.6, 0.9, 0.6]
    assert [loaded[name].engine for name in models] == ["transformers", "transformers", "openai"]
    assert len({row.sampling_id for row in made}) == 3


def test_responses_of_a_model_alone_are_those_of_it_among_several(tmp_path, engine):
    publish(tmp_path, 2)
    alone, _ = run(tmp_path)
    among, _ = run(tmp_path, "2", config=changed(model=None, models={"toy": {}, "other": {}}))
    assert [row for row in read(among) if row.model == "toy"] == read(alone)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": None}, "name one model, or several"),
        ({"models": {"a": {}}}, "name one model, or several"),
        ({"model": None, "models": {"a": {"temprature": 1}}}, r"a\.temprature: Extra inputs"),
        ({"model": None, "models": {"a": {"temperature": -1}}}, r"a\.temperature: Input should be greater"),
        ({"prompt_kind": "summary", "rounds": 2}, "made by one model, once"),
        ({"until": "graded", "rounds": 2}, "leave rounds at 1"),
        ({"summary_prompt": "Summarise!"}, "summary_prompt"),
    ],
)
def test_config_that_contradicts_itself_is_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        changed(**changes)


def test_responses_code_questions_get_the_suffix_of_their_category(tmp_path, engine):
    publish(tmp_path, [testing.question("Add.", "1"), testing.question("Print.", "2", category="code")])
    run(tmp_path, config=changed(suffix="boxed", suffixes={"code": "python"}, samples=1))
    shown = {asked.partition("\n")[0]: asked for asked, _, _ in seen(engine)}
    assert "\\boxed{}" in shown["Add."]
    assert "```python" in shown["Print."]


def test_responses_rounds_show_the_last_answer_chain_by_chain(tmp_path, engine):
    publish(tmp_path, 2)
    engine.script = lambda request: f"<think>secret</think><answer>{request.key[3]}-{request.key[4]}</answer>"
    output, manifest = run(tmp_path, config=changed(rounds=3, samples=2))
    assert manifest.rows == 2 * 2 * 3
    assert {(row.round, row.prompt_kind) for row in read(output)} == {
        (1, "question"), (2, "previous_answer"), (3, "previous_answer"),
    }  # fmt: skip
    for asked, number, index in seen(engine):
        assert ("previous answer" in asked) == (number > 1)
        assert number == 1 or f"<answer> {number - 1}-{index} </answer>" in asked
        assert "secret" not in asked


def test_responses_rounds_killed_in_the_second_round_go_on_from_the_answers_of_the_first(tmp_path, engine):
    publish(tmp_path, 3)
    config = changed(rounds=2, samples=2)
    whole, _ = whole_of(tmp_path, 3, config=config)
    script, engine.asked = engine.script, []

    def dying(request):
        if len(engine.asked) == 9:
            raise EngineFailed("gone")
        return script(request)

    engine.script = dying
    with pytest.raises(EngineFailed):
        run(tmp_path, config=config)
    engine.script, engine.asked = script, []
    output, _ = run(tmp_path, config=config)
    assert len(engine.asked) == 4
    assert read(output) == read(whole)


def summaries(tmp_path, given):
    uri = tmp_path / "given" / "responses" / "toy" / "1"
    testing.publish(given, Response, uri.as_uri())
    config = changed(prompt_kind="summary", model="summariser", summary_prompt="Shorten: {thinking} ({question})")
    return run(tmp_path, "summaries", config=config, responses=uri)


def test_responses_summaries_show_question_and_thinking_and_keep_the_key(tmp_path, engine):
    publish(tmp_path, 2)
    one, two = testing.questions(2)
    engine.script = lambda request: " In short: seven. "
    given = [
        testing.response(one, think="a {question} b", model="r1", sample_index=3),
        testing.response(two, think=None),
        testing.response(testing.question("Who?")),
        testing.response(one, prompt_kind="summary", sample_index=3),
    ]
    output, manifest = summaries(tmp_path, given)
    (row,) = read(output)
    assert rows.response_key(row) == (one.question_id, "r1", "summary", 1, 3)
    assert (row.text, row.think, row.answer) == (" In short: seven. ", None, "In short: seven.")
    assert [request.messages for request in engine.asked] == [
        [{"role": "user", "content": "Shorten: a {question} b (What is 0 + 7?)"}]
    ]
    assert manifest.dropped == {"no_thinking": 1, "unknown_question": 1}


def test_responses_summaries_without_responses_are_missing_input(tmp_path, engine):
    publish(tmp_path, 1)
    with pytest.raises(MissingInput, match="needs --input responses=URI"):
        run(tmp_path, config=changed(prompt_kind="summary"))


def wrong_until(index):
    """Right from this sample on."""
    return lambda request: testing.right_answer(request) if request.key[4] >= index else "<think>x</think><answer>-1</answer>"


def test_responses_until_verified_stop_at_the_first_right_answer_or_the_cap(tmp_path, engine):
    publish(tmp_path, 4)
    place = {each.question_id: number for number, each in enumerate(testing.questions(4))}
    engine.script = lambda request: wrong_until(place[request.key[0]])(request)
    output, manifest = run(tmp_path, config=changed(until="verified"))
    assert Counter(place[row.question_id] for row in read(output)) == {0: 1, 1: 2, 2: 3, 3: 3}
    metrics = manifest.metrics
    assert (metrics["n_questions_solved"], metrics["n_correct"], metrics["n_not_needed"]) == (3, 3, 3)
    assert metrics["tokens_per_correct"] == pytest.approx(metrics["tokens_per_response"] * 9 / 3)
    again, engine.asked = read(output), []
    output.rename(tmp_path / "finished")
    inputs = responses.Inputs(
        scratch=tmp_path / "scratch", questions=tmp_path / "questions" / "toy" / "1", finished=tmp_path / "finished"
    )
    responses.run(changed(until="verified"), inputs)
    assert (engine.asked, read(inputs.output)) == ([], again), "verdicts are found again from the finished rows"


def test_responses_until_verified_taken_over_in_pieces_asks_nothing_again(tmp_path, engine, monkeypatch):
    """Verdicts come in while a wave is still looked through: its requests must stay the same ones."""
    from stillhouse.sampling import plan

    monkeypatch.setattr(plan, "VERIFIED_AT_ONCE", 2)
    publish(tmp_path, 5)
    engine.script = wrong_until(2)
    output, _ = run(tmp_path, config=changed(until="verified", rounds=2))
    before, engine.asked = read(output), []
    output.rename(tmp_path / "finished")
    inputs = responses.Inputs(
        scratch=tmp_path / "scratch", questions=tmp_path / "questions" / "toy" / "1", finished=tmp_path / "finished"
    )
    responses.run(changed(until="verified", rounds=2), inputs)
    assert (engine.asked, read(inputs.output)) == ([], before)


def test_responses_until_verified_of_what_only_a_judge_can_score_is_refused_before_it_costs(tmp_path, engine):
    asked = testing.question("Why is the sky blue?", "Rayleigh scattering", category="science")
    testing.publish([asked], Question, f"{tmp_path}/questions/toy/1")
    with pytest.raises(BadConfig, match="needs verdicts by rule, and no rule scores science"):
        run(tmp_path, config=changed(until="verified"))
    assert engine.asked == []


def test_responses_until_verified_in_rounds_goes_through_a_chain_before_the_next(tmp_path, engine):
    publish(tmp_path, 1)
    engine.script = wrong_until(1)
    run(tmp_path, config=changed(until="verified", rounds=2))
    assert [(number, index) for _, number, index in seen(engine)] == [(1, 0), (2, 0), (1, 1)]
    assert "<answer> -1 </answer>" in seen(engine)[1][0]


def test_responses_until_graded_mixed_questions_stop_and_the_grade_is_that_of_all_samples(tmp_path, engine):
    publish(tmp_path, 6)
    place = {each.question_id: number for number, each in enumerate(testing.questions(6))}
    engine.script = lambda request: wrong_until({0: 1, 1: 2}.get(place[request.key[0]], 0))(request)
    config = changed(until="graded", samples=16, adaptive={"confidence": 0.9})
    output, manifest = run(tmp_path, config=config)
    asked = Counter(place[row.question_id] for row in read(output))
    assert (asked[0], asked[1]) == (2, 3), "one failure and one pass: at times, whatever comes"
    assert 1 < asked[2] < 16
    assert manifest.metrics["n_not_needed"] == 6 * 16 - manifest.rows


def failing(kind, every):
    """An engine that gives up every so manyth request."""

    def sample(requests):
        for place, request in enumerate(requests):
            lost = engines.Completion("", "error", 0, 0, kind, "it said no", ("server_error",))
            yield request, lost if place % every == every - 1 else engines.Completion("<think>a</think>7", "stop", 1, 1)

    return SimpleNamespace(sample=sample)


def test_responses_given_up_are_dropped_with_the_reason_counted_and_asked_again(tmp_path, monkeypatch):
    publish(tmp_path)
    monkeypatch.setattr(engines, "load", lambda sampling, model: failing("context_overflow", 5))
    output, manifest = run(tmp_path, config=changed(max_failure_rate=0.2))
    assert (manifest.rows, manifest.dropped) == (12, {"context_overflow": 3})
    assert (manifest.metrics["n_failed/context_overflow"], manifest.metrics["n_retried/server_error"]) == (3, 3)
    assert {row.finish_reason for row in read(output)} == {"stop"}
    drops = pq.read_table(output / "dropped").to_pylist()
    assert {(drop["reason"], drop["detail"]) for drop in drops} == {("context_overflow", "it said no")}
    good = testing.ScriptedEngine()
    monkeypatch.setattr(engines, "load", lambda sampling, model: good)
    _, second = run(tmp_path, "2", config=changed(max_failure_rate=0.1), previous=output)
    assert (len(good.asked), second.rows, second.dropped) == (3, 15, {})


def test_responses_too_many_given_up_fails_the_stage_and_keeps_what_was_answered(tmp_path, monkeypatch, engine):
    publish(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(engines, "load", lambda sampling, model: failing("server_error", 5))
        with pytest.raises(TooManyErrors, match=r"1 of 15 requests were given up \({'server_error': 1}; last: it said no\)"):
            run(tmp_path)
    _, manifest = run(tmp_path)
    assert (len(engine.asked), manifest.rows) == (11, 15)


def test_responses_chain_that_lost_a_round_is_not_asked_further(tmp_path, monkeypatch):
    publish(tmp_path, 1)
    asked = []

    def sample(requests):
        for request in requests:
            asked.append((request.key[3], request.key[4]))
            lost = request.key[3:] == (1, 0)
            yield request, engines.Completion("<answer>7</answer>", "error" if lost else "stop", 1, 1, "timeout" if lost else "")

    monkeypatch.setattr(engines, "load", lambda sampling, model: SimpleNamespace(sample=sample))
    for until, expected in (("all", [(1, 0), (1, 1), (2, 1)]), ("verified", [(1, 0), (1, 1)])):
        asked.clear()
        run(tmp_path, until, config=changed(rounds=2, samples=2, max_failure_rate=0.9, until=until))
        assert asked == expected


def test_responses_inputs_that_do_not_go_together_are_refused(tmp_path, engine):
    publish(tmp_path, 1)
    given = tmp_path / "given" / "responses" / "toy" / "1"
    testing.publish([testing.response(testing.questions(1)[0])], Response, given.as_uri())
    with pytest.raises(BadConfig, match="is for prompt_kind summary"):
        run(tmp_path, responses=given)
    testing.publish_files({"weights": b""}, "sft", (tmp_path / "sft" / "toy" / "1").as_uri())
    with pytest.raises(BadConfig, match="one checkpoint cannot be 2 models"):
        run(tmp_path, config=changed(model=None, models={"a": {}, "b": {}}), checkpoint=tmp_path / "sft" / "toy" / "1")


def test_responses_cost_is_logged_while_it_runs_and_said_at_the_end(tmp_path, engine, monkeypatch):
    publish(tmp_path)
    monkeypatch.setattr(answering, "LOG_EVERY_S", 0)
    monkeypatch.setenv("STILLHOUSE_GPUS", "2")
    logged = []
    inputs = responses.Inputs(
        scratch=tmp_path / "scratch", questions=tmp_path / "questions" / "toy" / "1", log=lambda *given: logged.append(given)
    )
    metrics = responses.run(CONFIG, inputs).metrics
    assert [step for _, step in logged][:3] == [1, 2, 3]
    assert all(set(each) == {"tokens_per_s", "left_s", "failed"} for each, _ in logged)
    assert logged[-1][0]["left_s"] == 0
    assert metrics["tokens_per_response"] == metrics["n_completion_tokens"] / 15
    assert metrics["gpu_seconds_per_response"] == pytest.approx(2 * metrics["seconds_per_response"])


def test_responses_progress_says_tokens_a_second_and_the_time_left(tmp_path, engine):
    publish(tmp_path)
    said = []
    inputs = responses.Inputs(
        scratch=tmp_path / "scratch", questions=tmp_path / "questions" / "toy" / "1", progress=lambda *step: said.append(step)
    )
    responses.run(CONFIG, inputs)
    assert [(done, total) for done, total, _ in said[:3]] == [(0, 15), (1, 15), (2, 15)]
    assert said[-1][:2] == (15, 15)
    assert all(" tokens/s · " in unit and unit.endswith(" left") for _, _, unit in said[1:])


CHILD = """
import sys
from stillhouse.sampling import published_parts
from stillhouse.execution.execute import execute
from stillhouse.stages import responses
published_parts.PART_RESPONSES = 8
execute(responses, responses.Config.model_validate_json(sys.argv[1]), {"questions": [sys.argv[2]]}, sys.argv[3])
"""


def test_responses_killed_at_any_moment_lose_no_row_double_none_and_ask_again_for_one_part_at_most(tmp_path):
    """A real child process and a real server: kill -9 when the server has seen so many requests, three times over, then the end."""
    uri = publish(tmp_path, 20)
    config = changed(engine="openai", max_tokens=32)
    output = tmp_path / "responses" / "toy" / "1"
    kills, process = iter(random.Random(5).sample(range(3, 22), 4)), None
    due = next(kills)

    def script(number, body):
        if number == due + base and process is not None:
            process.kill()
        return 0.005

    base = 0
    with endpoint(script) as server:
        environment = os.environ | {
            "STILLHOUSE_ENDPOINTS": server.url, "STILLHOUSE_CONCURRENCY": "4", "PYTHONPATH": str(Path(rows.__file__).parents[2]),
        }  # fmt: skip
        codes = []
        while not (output / "manifest.json").exists():
            base = len(server.asked)
            process = subprocess.Popen(
                [sys.executable, "-c", CHILD, config.model_dump_json(), uri, output.as_uri()], env=environment,
            )  # fmt: skip
            codes.append(process.wait(50))
            due = next(kills, 10_000)
        assert codes == [-9] * 4 + [0]
        made = read(output)
        assert len(made) == len({rows.response_key(row) for row in made}) == 60
        in_flight = 8 + 2 * 4
        assert 60 <= len(server.asked) <= 60 + 4 * in_flight
