import polars as pl

from stillhouse.grading import levels, model_columns
from stillhouse.grading.difficulty import DifficultyRecord, added

GRADES = pl.DataFrame(
    {
        "level": [1, 1, 3, None, None],
        "discard_reason": [None, None, None, None, "never_solved"],
        model_columns.name("rate", 0): [0.0, 0.25, 1.0, None, 0.5],
        model_columns.name("rate", 1): [1.0, 1.0, 1.0, 1.0, 0.0],
    },
    {
        "level": pl.Int8,
        "discard_reason": pl.String,
        model_columns.name("rate", 0): pl.Float64,
        model_columns.name("rate", 1): pl.Float64,
    },
)


def test_difficulty_counts_levels_without_discarded_questions_and_pass_rates_by_model():
    record = levels.difficulty(GRADES, ["small", "large"])
    assert record.levels == {"1": 2, "2": 0, "3": 1, "none": 1}
    assert record.pass_rates == {
        "small": {"0": 1, "0.25": 1, "0.5": 1, "0.75": 0, "1": 1},
        "large": {"0": 1, "0.25": 0, "0.5": 0, "0.75": 0, "1": 4},
    }


def test_added_shards_have_the_counts_of_the_whole():
    shards = [levels.difficulty(part, ["small", "large"]) for part in (GRADES[:2], GRADES[2:])]
    assert added(shards) == levels.difficulty(GRADES, ["small", "large"])


def test_added_models_of_one_shard_alone_are_kept():
    one, other = (DifficultyRecord(pass_rates={name: {"1": 1}}, levels={"1": 1}) for name in ("a", "b"))
    assert added([one, other]) == DifficultyRecord(pass_rates={"a": {"1": 1}, "b": {"1": 1}}, levels={"1": 2})
