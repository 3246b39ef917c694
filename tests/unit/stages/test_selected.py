import json

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stillhouse import testing
from stillhouse.artifacts import integrity, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import BadRows, MissingInput, NothingToDo
from stillhouse.execution.execute import execute
from stillhouse.stages import selected
from stillhouse.vocabulary.rows import Graded, Question, Response, Screened, Selected, Verified
from stillhouse.vocabulary.shards import Shard

MIXED, EASY, HOPELESS, SILENT = testing.questions(4)
CORPUS = {"sft_split": None, "anneal_split": None}


class Rows:
    """The rows of all inputs: four responses to three questions, by two models."""

    def __init__(self):
        self.questions = [MIXED, EASY, HOPELESS, SILENT]
        outcomes_by_question = [(MIXED, (1, 0, 1, 0)), (EASY, (1, 1, 1, 1)), (HOPELESS, (0, 0, 0, 0))]
        self.responses = [
            testing.response(asked, None if passed else "0", model=model, sample_index=index)
            for model in ("teacher", "other") for asked, outcomes in outcomes_by_question
            for index, passed in enumerate(outcomes)
        ]  # fmt: skip
        answers = {each.question_id: each.reference_answer for each in self.questions}
        self.verified = [testing.verified(each, passed=each.answer == answers[each.question_id]) for each in self.responses]
        self.screened = [testing.screened(each) for each in self.responses]
        self.graded = [
            testing.graded(MIXED, level=1), testing.graded(EASY, level=None),
            testing.graded(HOPELESS, discard_reason="never_solved"),
        ]  # fmt: skip


def run(tmp_path, given, leave_out=(), **config):
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    kinds = {"questions": Question, "responses": Response, "verified": Verified, "screened": Screened, "graded": Graded}
    paths = {}
    for name, kind in kinds.items():
        if name not in leave_out:
            tables.write(scratch / "in" / name, getattr(given, name), kind)
            paths[name] = scratch / "in" / name
    responses = (paths.pop("responses"),) if "responses" in paths else ()
    inputs = selected.Inputs(scratch=scratch, responses=responses, **paths)
    outputs = selected.run(selected.Config(**{"teacher": "teacher", **config}), inputs)
    dropped = [row for path in (scratch / "output" / "dropped").glob("*") for row in pq.read_table(path).to_pylist()]
    assert outputs.dropped.total() == sum(row["n"] for row in dropped)
    return outputs, list(tables.read(scratch / "output", Selected))


def test_selected_algorithm_1_and_annealing_choose_passing_responses_of_challenging_questions(tmp_path):
    outputs, made = run(tmp_path, Rows())
    assert [(row.split, row.question_id) for row in made] == [("sft_1", MIXED.question_id)] * 2 + [("anneal", MIXED.question_id)]
    assert {row.messages[-1]["content"] for row in made} == {testing.response(MIXED).text}
    assert [(row.model, row.mode, row.verify_score, row.pass_rate) for row in made] == [("teacher", "full", 1.0, 0.5)] * 3
    assert outputs.dropped == {"other_model": 12, "not_passing": 2, "easy": 1, "never_solved": 1, "no_response": 1}
    assert outputs.metrics["n_examples/sft_1"] == 2


def test_selected_drops_say_which_responses_they_stand_for(tmp_path):
    given = Rows()
    given.screened[0] = testing.screened(given.responses[0], kept=False)
    given.responses.append(testing.response(MIXED, model="teacher", prompt_kind="previous_answer", round=2))
    run(tmp_path, given)
    (path,) = (tmp_path / "scratch-0" / "output" / "dropped").glob("*")
    assert {(row["key"], row["reason"], row["n"]) for row in pq.read_table(path).to_pylist()} == {
        ("*/other/question/1/*", "other_model", 12), ("*/teacher/previous_answer/2/*", "further_round", 1),
        (f"{MIXED.question_id}/teacher/question/1/0", "screened_out", 1),
        (f"{MIXED.question_id}/teacher/question/1/1,3", "not_passing", 2), (EASY.question_id, "easy", 1),
        (HOPELESS.question_id, "never_solved", 1), (SILENT.question_id, "no_response", 1),
    }  # fmt: skip


def test_selected_ungraded_hopeless_question_is_below_the_threshold(tmp_path):
    outputs, _ = run(tmp_path, Rows(), leave_out=["graded", "screened"])
    assert outputs.dropped["below_threshold"] == 1


def test_selected_screened_out_responses_are_never_learnt_from(tmp_path):
    given = Rows()
    given.screened[0] = testing.screened(given.responses[0], kept=False)
    outputs, made = run(tmp_path, given)
    assert [row.split for row in made] == ["sft_1", "anneal"]
    assert outputs.dropped["screened_out"] == 1


def test_selected_answer_mode_trains_on_the_answer_alone(tmp_path):
    _, made = run(tmp_path, Rows(), mode="answer")
    assert {row.messages[-1]["content"] for row in made} == {MIXED.reference_answer}
    assert {row.mode for row in made} == {"answer"}


def test_selected_all_models_are_taken_without_a_teacher(tmp_path):
    _, made = run(tmp_path, Rows(), teacher=None, anneal_split=None)
    assert sorted({row.model for row in made}) == ["other", "teacher"]


def test_selected_rl_split_has_each_question_of_its_levels_once_without_a_response(tmp_path):
    _, made = run(
        tmp_path, Rows(), **CORPUS, rl_splits={"rl_1": [1, 2], "rl_2": [1]}, leave_out=["responses", "verified", "screened"]
    )
    assert [(row.split, row.question_id, row.mode, row.messages) for row in made] == [
        ("rl_1", MIXED.question_id, "full", MIXED.messages), ("rl_2", MIXED.question_id, "full", MIXED.messages),
    ]  # fmt: skip


def test_selected_original_split_trains_on_the_source_s_own_responses(tmp_path):
    given = Rows()
    given.questions = [
        testing.question("a", "1", source="x", original_response="ra"),
        testing.question("b", "1", source="y", original_response="rb"),
    ]
    outputs, made = run(
        tmp_path, given, **CORPUS, original_splits={"base": "y"}, leave_out=["responses", "verified", "screened", "graded"]
    )
    assert [(row.split, row.mode, row.messages[-1]) for row in made] == [
        ("base", "original", {"role": "assistant", "content": "rb"})
    ]
    assert outputs.dropped == {"not_selected": 1}


def test_selected_example_ids_are_unique_and_stable(tmp_path):
    first, second = (run(tmp_path, Rows(), rl_splits={"rl_1": [1]})[1] for _ in range(2))
    assert len({row.example_id for row in first}) == len(first) == 4
    assert first == second


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rl_splits": {"rl_9": [3]}}, "split rl_9 would be empty: it takes levels"),
        ({"original_splits": {"base": "pol"}}, "split base .*'pol'"),
        ({"cv_thresholds": {"math": 9}}, "split sft_1 would be empty: the outcomes of Algorithm 1"),
    ],
)  # fmt: skip
def test_selected_empty_split_is_refused_with_its_name_and_why(tmp_path, config, message):
    with pytest.raises(NothingToDo, match=message):
        run(tmp_path, Rows(), **config)


@pytest.mark.parametrize(
    ("leave_out", "config"),
    [(["responses"], {}), (["verified"], {}), (["graded"], {**CORPUS, "rl_splits": {"rl_1": [1]}})],
)
def test_selected_split_without_its_input_is_refused(tmp_path, leave_out, config):
    with pytest.raises(MissingInput, match="selected: "):
        run(tmp_path, Rows(), leave_out=leave_out, **config)


def test_selected_response_without_a_verdict_row_is_refused(tmp_path):
    given = Rows()
    given.verified.pop()
    with pytest.raises(BadRows, match="not in the verified input"):
        run(tmp_path, given)


@pytest.mark.parametrize("name", ["verified", "screened"])
def test_selected_rows_of_other_responses_are_refused_though_as_many(tmp_path, name):
    given = Rows()
    getattr(given, name)[3] = getattr(testing, name)(testing.response(SILENT, model="teacher", sample_index=7))
    with pytest.raises(BadRows, match=f"/teacher/question/1/3 is not in the {name} input"):
        run(tmp_path, given)


def test_selected_verdicts_beyond_the_responses_given_do_not_matter(tmp_path):
    given, whole = Rows(), run(tmp_path, Rows())
    given.responses = given.responses[:12]
    outputs, made = run(tmp_path, given)
    assert made == whole[1]
    assert "other_model" not in outputs.dropped


def test_selected_responses_given_twice_are_refused(tmp_path):
    given = Rows()
    given.responses += given.responses[:1]
    with pytest.raises(BadRows, match="duplicate key"):
        run(tmp_path, given)


@pytest.mark.parametrize("name", ["verified", "screened"])
def test_selected_two_rows_for_one_key_are_refused(tmp_path, name):
    given = Rows()
    getattr(given, name).append(getattr(given, name)[2])
    with pytest.raises(BadRows, match=f"responses or {name}: duplicate key"):
        run(tmp_path, given)


def test_selected_verdicts_on_questions_that_were_not_asked_do_not_matter(tmp_path):
    given, whole = Rows(), run(tmp_path, Rows())
    given.verified.insert(0, testing.verified(testing.response(testing.question("else", "1"), model="teacher")))
    assert run(tmp_path, given)[1] == whole[1]


def test_selected_responses_to_dropped_questions_are_let_go_and_counted(tmp_path):
    given = Rows()
    given.questions.remove(EASY)
    outputs, made = run(tmp_path, given)
    assert outputs.dropped == {"unknown_question": 8, "other_model": 8, "not_passing": 2, "never_solved": 1, "no_response": 1}
    assert {row.question_id for row in made} == {MIXED.question_id}


def test_selected_responses_of_which_none_answers_a_question_are_refused(tmp_path):
    given = Rows()
    given.questions = [testing.question("What is 100 + 100?", "200")]
    with pytest.raises(BadRows, match="selected: none of .* responses answers a question of the questions input"):
        run(tmp_path, given)


def test_selected_order_of_verdicts_and_screenings_does_not_matter(tmp_path):
    given, whole = Rows(), run(tmp_path, Rows())
    given.verified.reverse()
    given.screened.reverse()
    assert run(tmp_path, given)[1] == whole[1]


def summary(text, model="summariser"):
    return testing.response(MIXED, text, model=model, prompt_kind="summary", text=text)


def with_summaries(*more):
    given = Rows()
    given.responses += [summary("In short."), *more]
    return given


def test_selected_summary_mode_puts_the_summary_before_the_answer(tmp_path):
    outputs, made = run(tmp_path, with_summaries(), mode="summary", anneal_split=None)
    assert [row.messages[-1]["content"] for row in made] == [f"In short.\n\n{MIXED.reference_answer}"]
    assert [(row.mode, row.model) for row in made] == [("summary", "teacher")]
    assert outputs.dropped["no_summary"] == 1


def test_selected_summaries_of_two_models_need_a_name(tmp_path):
    more = summary("Or so.", "other one")
    with pytest.raises(BadRows, match="several summaries for response .*/0; name the one"):
        run(tmp_path, with_summaries(more), mode="summary")
    _, made = run(tmp_path, with_summaries(more), mode="summary", summariser="other one", anneal_split=None, summary_separator=" ")
    assert [row.messages[-1]["content"] for row in made] == [f"Or so. {MIXED.reference_answer}"]


def test_selected_summaries_and_further_rounds_are_dropped_where_they_are_not_asked_for(tmp_path):
    further = testing.response(MIXED, model="teacher", prompt_kind="previous_answer", round=2)
    asked_again = testing.response(MIXED, "wrong", model="teacher", round=2)
    outputs, made = run(tmp_path, with_summaries(further, asked_again))
    assert {row.messages[-1]["content"] for row in made} == {testing.response(MIXED).text}
    assert (outputs.dropped["summary"], outputs.dropped["further_round"]) == (1, 2)


def test_selected_original_mode_takes_the_question_s_own_response_once(tmp_path):
    given = Rows()
    given.questions[0] = testing.question("What is 0 + 7?", "7", original_response="Seven.")
    _, made = run(tmp_path, given, mode="original", anneal_split=None)
    assert [(row.question_id, row.messages[-1]["content"], row.model, row.mode) for row in made] == [
        (MIXED.question_id, "Seven.", None, "original")
    ]
    assert run(tmp_path, Rows(), mode="original", anneal_split=None)[0].dropped["no_original"] == 1


def test_selected_original_mode_limits_count_questions_however_many_responses_passed(tmp_path):
    given = Rows()
    given.questions = [testing.question(f"original {number}", "1", original_response="One.") for number in range(6)]
    given.responses = [testing.response(each, model="teacher", sample_index=at) for each in given.questions for at in range(3)]
    given.verified = [testing.verified(each, passed=each.sample_index < 2) for each in given.responses]
    given.screened = [testing.screened(each) for each in given.responses]
    outputs, made = run(tmp_path, given, ["graded"], mode="original", anneal_split=None, limits={"sft_1": {"size": 4}})
    assert len({row.question_id for row in made}) == len(made) == 4
    assert outputs.dropped["not_passing"] == 6


def many():
    """Forty math questions and forty code questions, each solved at times by the teacher and graded level 1 and 3."""
    given = Rows()
    kinds = ["math"] * 40 + ["code"] * 40
    given.questions = [testing.question(f"{kind} {number}", "1", category=kind) for number, kind in enumerate(kinds)]
    given.responses = [testing.response(each, model="teacher", sample_index=at) for each in given.questions for at in range(2)]
    given.verified = [testing.verified(each, passed=each.sample_index == 0) for each in given.responses]
    given.screened = [testing.screened(each) for each in given.responses]
    given.graded = [testing.graded(asked, level=1 if asked.category == "math" else 3) for asked in given.questions]
    return given


def categories(made, split):
    found = [row.category for row in made if row.split == split]
    return found.count("math"), found.count("code")


def test_selected_mix_caps_and_sizes_bound_each_split_of_its_own(tmp_path):
    config = {
        "rl_splits": {"rl": {"math": [1], "code": [3]}, "rl_math": [1]},
        "limits": {"rl": {"mix": {"math": 2.1, "code": 1}, "size": 31}, "sft_1": {"caps": {"code": 5}}, "anneal": {"size": 7}},
    }
    outputs, made = run(tmp_path, many(), **config)
    assert categories(made, "rl") == (21, 10)
    assert categories(made, "rl_math") == (40, 0)
    assert categories(made, "sft_1") == (40, 5)
    assert sum(categories(made, "anneal")) == 7
    annealed = {row.question_id for row in made if row.split == "anneal" and row.category == "code"}
    learnt = {row.question_id for row in made if row.split == "sft_1" and row.category == "code"}
    assert outputs.dropped["not_selected"] >= 80 - 45 - len(annealed - learnt)
    other = run(tmp_path, many(), **config, seed=1)[1]
    assert {row.question_id for row in other if row.split == "rl"} != {row.question_id for row in made if row.split == "rl"}


LIMITED = {
    "rl_splits": {"rl": {"math": [1], "code": [3]}, "rl_math": [1]},
    "limits": {"rl": {"mix": {"math": 2.1, "code": 1}, "size": 31}, "sft_1": {"caps": {"code": 5}}, "anneal": {"size": 7}},
}


def published(tmp_path, given):
    kinds = {"questions": Question, "responses": Response, "verified": Verified, "screened": Screened, "graded": Graded}
    inputs = {name: f"{tmp_path.as_uri()}/{name}/toy/1" for name in kinds}
    for name, kind in kinds.items():
        testing.publish(getattr(given, name), kind, inputs[name])
    return inputs


def in_shards(tmp_path, inputs, count, **config):
    output = f"{tmp_path.as_uri()}/{count}/selected/toy/1"
    for index in range(count):
        execute(selected, selected.Config(**{"teacher": "teacher", **config}), inputs, output, Shard(index, count))
    return manifests.load(output), sorted(tables.read(integrity.fetch(output, tmp_path / "fetched"), Selected), key=str)


@pytest.mark.parametrize(("given", "config"), [
    (many, LIMITED), (many, {"anneal_questions": 9, "teacher": None}), (Rows, {"rl_splits": {"rl": [1]}}),
])  # fmt: skip
def test_selected_shards_are_bit_for_bit_what_one_process_makes(tmp_path, given, config):
    inputs = published(tmp_path, given())
    whole, rows = in_shards(tmp_path, inputs, 1, **config)
    manifest, made = in_shards(tmp_path, inputs, 3, **config)
    assert rows
    assert made == rows
    assert (manifest.fingerprint, manifest.dropped) == (whole.fingerprint, whole.dropped)
    assert manifest.metrics == whole.metrics


def test_selected_shards_let_responses_of_dropped_questions_go_as_one_process_does(tmp_path):
    rows = many()
    gone = {row.question_id for row in rows.questions[:3]}
    rows.questions = rows.questions[3:]
    rows.graded = [row for row in rows.graded if row.question_id not in gone]
    inputs = published(tmp_path, rows)
    whole, kept = in_shards(tmp_path, inputs, 1)
    manifest, made = in_shards(tmp_path, inputs, 3)
    assert whole.dropped["unknown_question"] == sum(row.question_id in gone for row in rows.responses) > 0
    assert (made, manifest.dropped) == (kept, whole.dropped)


def test_selected_split_that_is_empty_in_all_shards_is_refused(tmp_path):
    inputs = published(tmp_path, many())
    with pytest.raises(NothingToDo, match="split rl would be empty in all shards"):
        in_shards(tmp_path, inputs, 2, rl_splits={"rl": [2]})


def test_selected_mix_of_a_category_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NothingToDo, match="split sft_1 would be empty: .*limits .*science"):
        run(tmp_path, many(), limits={"sft_1": {"mix": {"math": 1, "science": 1}}})


def test_selected_publishes_the_sweep_and_a_page(tmp_path):
    outputs, _ = run(tmp_path, many())
    (scratch,) = tmp_path.iterdir()
    sweep = json.loads((scratch / "output" / "sweep.json").read_text())
    assert list(outputs.artifacts) == ["dataset.html", "sweep.json"]
    assert [row["n_responses"] for row in sweep if row["category"] == "math"] == [40] * 21
    assert "What was selected" in (scratch / "output" / "dataset.html").read_text(encoding="utf-8")


def test_selected_keeps_what_the_verdicts_passed_and_writes_their_threshold(tmp_path):
    given = Rows()
    given.verified = [
        testing.verified(each, verify_score=0.6 if verdict.passed else 0.1, threshold=0.5)
        for each, verdict in zip(given.responses, given.verified, strict=True)
    ]
    given.graded = [testing.graded(MIXED, level=1, threshold=0.5)]
    _, made = run(tmp_path, given, rl_splits={"rl_1": [1]}, anneal_split=None)
    assert [(row.split, row.verify_score, row.threshold) for row in made] == [
        *[("sft_1", 0.6, 0.5)] * 2, ("rl_1", None, 0.5)
    ]  # fmt: skip


def test_selected_grades_by_another_threshold_than_the_verdicts_are_refused_with_both(tmp_path):
    given = Rows()
    given.graded = [testing.graded(MIXED, level=1, threshold=0.5)]
    with pytest.raises(BadRows, match=r"verified: math questions have pass threshold 0.99, but 0.5 in graded"):
        run(tmp_path, given)


def test_selected_question_of_a_category_without_verdicts_has_no_threshold(tmp_path):
    given = Rows()
    given.questions = [testing.question("a", "1", source="y", original_response="ra")]
    _, (row,) = run(tmp_path, given, **CORPUS, original_splits={"base": "y"}, leave_out=["responses", "verified", "graded"])
    assert row.threshold is None


@pytest.mark.parametrize(
    "config",
    [
        CORPUS, {"anneal_split": "sft_1"}, {"rl_splits": {"sft_1": [1]}}, {"rl_splits": {"rl_1": [4]}},
        {"limits": {"nowhere": {"size": 3}}}, {"limits": {"sft_1": {"mix": {"math": 0}}}},
    ],
)  # fmt: skip
def test_selected_config_bad_splits_are_refused(config):
    with pytest.raises(ValidationError):
        selected.Config(**config)
