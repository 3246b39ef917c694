import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stillhouse import rows, testing
from stillhouse.errors import BadConfig, BadRows, MissingInput, NothingToDo
from stillhouse.rows import Graded, Question, Response, Screened, Selected, Verified
from stillhouse.stage import Shard
from stillhouse.stages import selected

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


def run(tmp_path, given, leave_out=(), shard=None, **config):
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    kinds = {"questions": Question, "responses": Response, "verified": Verified, "screened": Screened, "graded": Graded}
    paths = {}
    for name, kind in kinds.items():
        if name not in leave_out:
            rows.write(scratch / "in" / name, getattr(given, name), kind)
            paths[name] = scratch / "in" / name
    responses = (paths.pop("responses"),) if "responses" in paths else ()
    inputs = selected.Inputs(scratch=scratch, responses=responses, shard=shard or Shard(), **paths)
    outputs = selected.run(selected.Config(**{"teacher": "teacher", **config}), inputs)
    dropped = [row for path in (scratch / "output" / "dropped").glob("*") for row in pq.read_table(path).to_pylist()]
    assert outputs.dropped.total() == len(dropped)
    return outputs, list(rows.read(scratch / "output", Selected))


def test_selected_algorithm_1_and_annealing_choose_passing_responses_of_challenging_questions(tmp_path):
    outputs, made = run(tmp_path, Rows())
    assert [(row.split, row.question_id) for row in made] == [("sft_1", MIXED.question_id)] * 2 + [("anneal", MIXED.question_id)]
    assert {row.messages[-1]["content"] for row in made} == {testing.response(MIXED).text}
    assert [(row.model, row.mode, row.verify_score, row.pass_rate) for row in made] == [("teacher", "full", 1.0, 0.5)] * 3
    assert outputs.dropped == {"other_model": 12, "not_passing": 2, "easy": 1, "never_solved": 1, "no_response": 1}
    assert outputs.metrics["n_examples/sft_1"] == 2


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
        ({"rl_splits": {"rl_9": [3]}}, "split rl_9 would be empty: levels"),
        ({"original_splits": {"base": "pol"}}, "split base .*'pol'"),
        ({"cv_thresholds": {"math": 9}}, "split sft_1 would be empty: Algorithm 1"),
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


def test_selected_shard_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="annealing ranks all questions"):
        run(tmp_path, Rows(), shard=Shard(0, 2))


@pytest.mark.parametrize("config", [CORPUS, {"anneal_split": "sft_1"}, {"rl_splits": {"sft_1": [1]}}, {"rl_splits": {"rl_1": [4]}}])
def test_selected_config_bad_splits_are_refused(config):
    with pytest.raises(ValidationError):
        selected.Config(**config)
