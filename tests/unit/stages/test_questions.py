import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stillhouse import benchmarks, identity, rows, testing
from stillhouse.errors import NothingToDo
from stillhouse.rows import Question
from stillhouse.sampling.prompts import previous_answer_prompt
from stillhouse.stage import Shard
from stillhouse.stages import questions

SOURCE = {"kind": "arithmetic", "name": "pool", "count": 200, "families": {"add-1": 1, "add-2": 1}}


def run(tmp_path, imported=(), shard=None, **config):
    paths = []
    for number, given in enumerate(imported):
        paths.append(tmp_path / f"imported-{number}")
        rows.write(paths[-1], given, Question)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    outputs = questions.run(
        questions.Config(**config), questions.Inputs(scratch=scratch, imported=tuple(paths), shard=shard or Shard())
    )  # fmt: skip
    kept = list(rows.read(scratch / "output", Question))
    return outputs, kept, dropped_rows(scratch)


def dropped_rows(scratch):
    return [row for path in sorted((scratch / "output" / "dropped").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_questions_duplicates_are_dropped_and_counted(tmp_path):
    outputs, kept, dropped = run(tmp_path, sources=[SOURCE])
    assert len({row.question_id for row in kept}) == len(kept)
    assert outputs.dropped["duplicate"] == len(dropped) > 0
    assert len(kept) + len(dropped) == 200 == outputs.metrics["n_read"]
    assert outputs.metrics["n_kept"] == outputs.metrics["n_kept/pool"] == len(kept)


def test_questions_planted_contamination_never_passes(tmp_path):
    planted = benchmarks.questions("arithmetic")
    disguised = [
        testing.question(previous_answer_prompt(row.messages[0]["content"].upper(), "1"), row.reference_answer) for row in planted
    ]
    good = testing.question("What is 5555 + 7777?", "13332")
    outputs, kept, dropped = run(tmp_path, imported=[[*planted, *disguised, good]], decontaminate=["arithmetic"])
    assert [row.question_id for row in kept] == [good.question_id]
    assert outputs.dropped == {"contaminated": 500}
    assert all(row["detail"].startswith("asked by arithmetic, question ") for row in dropped)


def test_questions_generated_pool_is_disjoint_from_the_benchmark(tmp_path):
    _, kept, _ = run(tmp_path, sources=[{**SOURCE, "count": 3000, "reanswer_share": 0.3}], decontaminate=["arithmetic"])
    asked = {row.messages[0]["content"] for row in benchmarks.questions("arithmetic")}
    assert kept
    assert not [row for row in kept if row.messages[0]["content"].partition("\n")[0] in asked]


def test_questions_unusable_rows_are_dropped_with_their_reason(tmp_path):
    given = [
        testing.question(" "), testing.question("What is 1 + 2?", None), testing.question("Sort a list", None, category="code"),
        testing.question("Tell me a story", None, category="other"),
        testing.question("What is  1 + 1?"), testing.question("What is 1 + 1?", "3"),
    ]  # fmt: skip
    outputs, kept, _ = run(tmp_path, imported=[given])
    assert outputs.dropped == {"empty_prompt": 1, "missing_reference": 2, "duplicate": 1}
    assert [identity.normalise(row.messages[0]["content"]) for row in kept] == ["tell me a story", "what is 1 + 1?"]


def test_questions_ids_follow_from_the_content(tmp_path):
    _, kept, _ = run(tmp_path, imported=[[testing.question(question_id="mine")]])
    assert kept[0].question_id == identity.question_id(kept[0].messages, kept[0].reference_answer)


def test_questions_surplus_is_dropped_not_lost(tmp_path):
    outputs, kept, dropped = run(tmp_path, imported=[testing.questions(10)], max_questions=4)
    assert (len(kept), outputs.dropped) == (4, {"surplus": 6})
    assert "max_questions is 4" in dropped[0]["detail"]


def test_questions_same_config_gives_the_same_rows_and_another_seed_another_order(tmp_path):
    sources = [SOURCE, {**SOURCE, "name": "other", "seed": 9}]
    for name in "abc":
        (tmp_path / name).mkdir()
    first, second, third = (run(tmp_path / name, sources=sources, seed=seed)[1] for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == second != third


def test_questions_without_any_source_is_refused(tmp_path):
    with pytest.raises(NothingToDo, match="no source"):
        run(tmp_path)


def test_questions_with_nothing_left_is_refused(tmp_path):
    with pytest.raises(NothingToDo, match="empty_prompt"):
        run(tmp_path, imported=[[testing.question("")]])


def test_questions_config_benchmark_typo_names_the_nearest():
    with pytest.raises(ValidationError, match="did you mean arithmetic"):
        questions.Config(sources=[SOURCE], decontaminate=["aritmetic"])


def test_questions_config_revision_becomes_part_of_the_fingerprint():
    assert questions.Config(decontaminate=["arithmetic"]).decontaminate == ("arithmetic@1",)


def test_questions_source_name_that_mlflow_refuses_is_replaced_in_metrics(tmp_path):
    outputs, _, _ = run(tmp_path, imported=[[testing.question(source="a:b/c%")]])
    assert outputs.metrics["n_kept/a_b_c_"] == 1
