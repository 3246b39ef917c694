from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.artifacts import integrity, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import BadConfig, BadRows, NothingToDo
from stillhouse.execution.execute import execute
from stillhouse.stages import graded
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.categories import CATEGORIES, FACTS
from stillhouse.vocabulary.rows import Graded, Question, Verified, response_key
from stillhouse.vocabulary.shards import Shard
from tests.oracles import grading as oracle

ASKED = testing.questions(4)
ROLES = {"small": "s", "medium": "m", "reference": "r", "strongest": "r"}


def verdicts(asked, **passed_by_model):
    return [
        testing.verified(testing.response(asked, model=model, sample_index=index), passed=bool(passed))
        for model, outcomes in passed_by_model.items() for index, passed in enumerate(outcomes)
    ]  # fmt: skip


def run(tmp_path, made, asked=ASKED, shard=None, **config):
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    tables.write(tmp_path / "questions", asked, Question)
    tables.write(tmp_path / "verified", made, Verified)
    inputs = graded.Inputs(
        scratch=scratch, questions=tmp_path / "questions", verified=tmp_path / "verified", shard=shard or Shard()
    )
    outputs = graded.run(graded.Config(**{**ROLES, **config}), inputs)
    return outputs, list(tables.read(scratch / "output", Graded))


def test_graded_levels_and_counts(tmp_path):
    made = [
        *verdicts(ASKED[0], s=[1, 0], m=[1, 1], r=[1, 1]), *verdicts(ASKED[1], s=[0, 0], m=[1, 0], r=[1, 1]),
        *verdicts(ASKED[2], s=[0, 1], m=[0, 0], r=[0, 0]),
    ]  # fmt: skip
    outputs, found = run(tmp_path, made)
    assert [(row.level, row.discard_reason) for row in found] == [(1, None), (2, None), (None, "never_solved")]
    assert outputs.dropped == {"no_verdict": 1}
    assert (outputs.metrics["n_level_1"], outputs.metrics["n_level_2"], outputs.metrics["n_never_solved"]) == (1, 1, 1)
    assert outputs.metrics["n_pass_rate/s/0.5"] == 2
    assert outputs.metrics["cv/s"] == pytest.approx(2**0.5)


def test_graded_questions_that_the_learner_masters_are_discarded(tmp_path):
    made = [
        *verdicts(ASKED[0], s=[1, 1], m=[1, 0], r=[1, 1]), *verdicts(ASKED[1], s=[1, 0], m=[1, 1], r=[1, 1]),
        *verdicts(ASKED[2], s=[1, 1], m=[0, 0], r=[0, 0]),
    ]  # fmt: skip
    outputs, found = run(tmp_path, made, learner="s")
    assert [(row.level, row.discard_reason) for row in found] == [(None, "mastered"), (1, None), (None, "never_solved")]
    assert (outputs.metrics["n_mastered"], outputs.metrics["n_never_solved"]) == (1, 1)


def test_graded_learner_without_verdicts_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="learner='x', but no verdict is on a model of that name"):
        run(tmp_path, verdicts(ASKED[0], s=[1], m=[1], r=[1]), learner="x")


def test_graded_grades_hold_each_model_s_numbers(tmp_path):
    _, found = run(tmp_path, verdicts(ASKED[0], s=[1, 0, 0, 0], m=[1], r=[1, 1]))
    grades = {each["model"]: each for each in found[0].models}
    assert (grades["s"]["n"], grades["s"]["pass_rate"], grades["s"]["cv"]) == (4, 0.25, 2.0)
    assert grades["m"]["cv"] is None
    assert grades["r"]["cv"] == 0


def test_graded_verifier_failures_do_not_count(tmp_path):
    failed = testing.verified(testing.response(ASKED[0], model="s", sample_index=9), kind="timeout", verify_score=None)
    _, found = run(tmp_path, [*verdicts(ASKED[0], s=[1, 1], m=[1], r=[1]), failed])
    assert {each["model"]: each["n"] for each in found[0].models}["s"] == 2


def test_graded_further_rounds_do_not_count(tmp_path):
    later = testing.verified(testing.response(ASKED[0], model="s", prompt_kind="previous_answer", round=2), passed=False)
    _, found = run(tmp_path, [*verdicts(ASKED[0], s=[1, 1], m=[1], r=[1]), later])
    assert {each["model"]: each["pass_rate"] for each in found[0].models}["s"] == 1


def test_graded_question_asked_again_in_a_further_round_does_not_count(tmp_path):
    """Where a round gave no answer, the next one asks the plain question."""
    again = testing.verified(testing.response(ASKED[0], model="s", round=2), passed=False)
    _, found = run(tmp_path, [*verdicts(ASKED[0], s=[1, 1], m=[1], r=[1]), again])
    assert {each["model"]: each["n"] for each in found[0].models}["s"] == 2


def test_graded_models_without_a_score_are_told_apart(tmp_path):
    failed = [
        testing.verified(testing.response(ASKED[0], model=model), kind="error", verify_score=None, passed=None) for model in "ab"
    ]
    _, found = run(tmp_path, [*verdicts(ASKED[0], s=[1], m=[1], r=[1]), *failed])
    assert {each["model"] for each in found[0].models} == {"s", "m", "r"}


def test_graded_mean_score_kind_uses_the_scale(tmp_path):
    science = testing.question("Why?", "because", category="science")
    made = [testing.verified(testing.response(science, model=model), verify_score=2.5) for model in "smr"]
    _, found = run(tmp_path, made, [science], pass_rate_kind="mean_score")
    assert [each["pass_rate"] for each in found[0].models] == [0.5] * 3
    assert [each["mean_score"] for each in found[0].models] == [2.5] * 3


def test_graded_solved_share_is_seeded(tmp_path):
    asked = testing.questions(200)
    made = [row for each in asked for row in verdicts(each, s=[0], m=[0], r=[1])]
    levels = [[row.level for row in run(tmp_path, made, asked, seed=seed)[1]] for seed in (0, 0, 1)]
    assert levels[0] == levels[1] != levels[2]
    assert 70 < levels[0].count(3) < 130


def test_graded_two_verdicts_for_one_response_are_refused(tmp_path):
    made = verdicts(ASKED[0], s=[1], m=[1], r=[1])
    with pytest.raises(BadRows, match="2 verdicts on response"):
        run(tmp_path, [*made, made[0]])


def test_graded_verdicts_on_unknown_questions_are_counted_drops(tmp_path):
    made = [*verdicts(ASKED[0], s=[1], m=[1], r=[1]), *verdicts(testing.question("else", "1"), s=[1, 0])]
    outputs, found = run(tmp_path, made, ASKED[:1])
    assert [row.question_id for row in found] == [ASKED[0].question_id]
    assert outputs.dropped == {"unknown_question": 1}


def test_graded_question_that_a_role_s_model_did_not_answer_is_counted(tmp_path):
    outputs, found = run(tmp_path, [*verdicts(ASKED[0], s=[1, 0], m=[1], r=[1]), *verdicts(ASKED[1], s=[1, 0], r=[1])], ASKED[:2])
    assert [(row.level, [each["model"] for each in row.models]) for row in found] == [(1, ["m", "r", "s"]), (None, ["r", "s"])]
    assert [outputs.metrics[f"n_without_{role}"] for role in ("small", "medium", "reference", "strongest")] == [0, 1, 0, 0]


def test_graded_says_where_the_cv_follows_from_the_pass_rate(tmp_path):
    asked = [testing.question("Code?", None, category="code"), *ASKED]
    partly = [
        testing.verified(testing.response(asked[0], "x", model="s", sample_index=index), verify_score=score)
        for index, score in enumerate((0.3, 1.0))
    ]
    outputs, _ = run(tmp_path, [*partly, *verdicts(ASKED[0], s=[1, 0, 0], m=[1, 1], r=[1])], asked)
    assert outputs.metrics["share_cv_follows_from_pass_rate/s"] == 0.5
    assert outputs.metrics["share_cv_follows_from_pass_rate/m"] == 1


def test_graded_shard_without_any_verdict_at_all_is_refused_as_the_whole_is(tmp_path):
    with pytest.raises(NothingToDo, match="none of .* questions has a verdict"):
        run(tmp_path, [], shard=Shard(0, 3))


def test_graded_shards_together_are_the_whole(tmp_path):
    made = [row for each in testing.questions(20) for row in verdicts(each, s=[1, 0], m=[1], r=[1])]
    asked = testing.questions(20)
    _, whole = run(tmp_path, made, asked)
    shards = [run(tmp_path, made, asked, shard=Shard(index, 3))[1] for index in range(3)]
    assert all(shards)
    assert sorted((row for found in shards for row in found), key=lambda row: row.question_id) == sorted(
        whole, key=lambda row: row.question_id
    )


def test_graded_tiny_shards_are_bit_for_bit_what_one_process_makes(tmp_path):
    """Shards without any verdict, or without one of a model's."""
    asked = testing.questions(6)
    made = [*verdicts(asked[0], s=[1, 0], m=[1], r=[1]), *verdicts(asked[1], s=[0]), *verdicts(asked[2], m=[1, 0])]
    inputs = {"questions": f"{tmp_path.as_uri()}/questions/toy/1", "verified": f"{tmp_path.as_uri()}/verified/toy/1"}
    testing.publish(asked, Question, inputs["questions"])
    testing.publish(made, Verified, inputs["verified"])
    results = []
    for count in (1, 7):
        output = f"{tmp_path.as_uri()}/{count}/graded/toy/1"
        for index in range(count):
            execute(graded, graded.Config(**ROLES), inputs, output, Shard(index, count))
        local = integrity.fetch(output, tmp_path / "fetched")
        results.append((sorted(tables.read(local, Graded), key=str), manifests.load(output)))
    (whole_rows, whole), (rows, manifest) = results
    assert len(whole_rows) == 3
    assert rows == whole_rows
    assert manifest.dropped == whole.dropped
    assert manifest.metrics == {name: whole.metrics[name] for name in manifest.metrics}
    assert {name for name in whole.metrics if name.startswith("n_")} == set(manifest.metrics)


def test_graded_model_without_verdicts_is_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(BadConfig, match="models: m, r, s"):
        run(tmp_path, verdicts(ASKED[0], s=[1], m=[1], r=[1]), small="tiny")


def test_graded_without_verdicts_is_refused(tmp_path):
    with pytest.raises(NothingToDo):
        run(tmp_path, [])


def test_graded_goes_by_what_the_verdicts_passed_and_writes_their_threshold(tmp_path):
    made = [
        testing.verified(testing.response(ASKED[0], model=model, sample_index=at), verify_score=0.6, threshold=0.5)
        for model in "smr" for at in range(4)
    ]  # fmt: skip
    _, (row,) = run(tmp_path, made)
    assert [grade["pass_rate"] for grade in row.models] == [1.0] * 3
    assert row.threshold == 0.5


def test_graded_two_thresholds_of_one_category_are_refused_with_both(tmp_path):
    made = verdicts(ASKED[0], s=[1], m=[1], r=[1])
    with pytest.raises(BadRows, match=r"verified: math questions have pass threshold 0.99, but 0.5 in verified"):
        run(tmp_path, [*made, testing.verified(testing.response(ASKED[1], model="s"), threshold=0.5)])


OF_EVERY_CATEGORY = [replace(each, category=category) for each, category in zip(testing.questions(6), CATEGORIES, strict=True)]
SCORED = st.builds(
    lambda asked, share, **key: testing.verified(
        testing.response(asked, **key), verify_score=None if share is None else share * FACTS[asked.category].scale,
        threshold=FACTS[asked.category].pass_threshold,
    ),
    st.sampled_from(OF_EVERY_CATEGORY), st.sampled_from([None, 0.0, 0.0, 0.5, 1.0, 1.0]), model=st.sampled_from("smr"),
    sample_index=st.sampled_from([0, 1, 2, 70]), round=st.sampled_from([1, 1, 1, 2]),
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SCORED, unique_by=response_key, max_size=60), st.sampled_from(["indicator", "mean_score"]), st.integers(0, 1))
def test_graded_rows_in_any_order_agree_with_the_oracle(tmp_path, made, kind, ddof):
    roles = [testing.verified(testing.response(OF_EVERY_CATEGORY[0], model=model, sample_index=9)) for model in "smr"]
    scores = {}
    for each in (*made, *roles):
        if each.round == 1 and each.verify_score is not None:
            scores.setdefault(each.question_id, {}).setdefault(each.model, []).append(each.verify_score)
    outputs, found = run(tmp_path, [*made, *roles], OF_EVERY_CATEGORY, pass_rate_kind=kind, ddof=ddof)
    assert [row.question_id for row in found] == [each.question_id for each in OF_EVERY_CATEGORY if each.question_id in scores]
    assert outputs.dropped.total() == len(OF_EVERY_CATEGORY) - len(found)
    config = graded.Config(**ROLES)
    for row in found:
        limit, top = FACTS[row.category].pass_threshold, FACTS[row.category].scale
        expected = [oracle.grade(model, each, limit, ddof, kind, top) for model, each in sorted(scores[row.question_id].items())]
        assert row.models == [pytest.approx(each, abs=1e-6) for each in expected]
        rates = {each["model"]: each["pass_rate"] for each in expected}
        keep = seeds.draw(config.seed, "level", row.question_id) < config.solved_share[row.category]
        never = rates.get("r") == 0
        assert row.discard_reason == ("never_solved" if never else None)
        by_role = {"small": rates.get("s"), "medium": rates.get("m"), "reference": rates.get("r")}
        assert row.level == (None if never else oracle.level(by_role, keep))
