import polars as pl

from stillhouse.selection.composition import Composition


def batch(*examples):
    """``examples``: split, category, place of the question, length, whether the text is missing."""
    names = ("split", "category", "question", "length", "missing")
    frame = pl.DataFrame(examples, names, orient="row").with_columns(pl.col("length").cast(pl.Int64))
    return frame.with_columns(key=pl.format("q{}", "question"), mode=pl.lit("answer"))


def test_composition_counts_what_goes_by_and_takes_out_what_has_no_text():
    made = Composition()
    first = batch(("sft", "math", 1, 5, False), ("sft", "math", 2, 0, True), ("sft", "code", 3, 9, False))
    passed = list(made.counted([first, batch(("rl", "math", 1, 0, False), ("sft", "code", 3, 8, False))]))
    assert [frame.height for frame in passed] == [2, 2]
    assert made.by_split() == {"sft": 3, "rl": 1}
    assert sorted(made.used) == [1, 3]
    assert made.table().rows() == [("sft", "code", 2, 17), ("sft", "math", 1, 5), ("rl", "math", 1, 0)]
    assert sorted(made.lengths().rows()) == [("sft", 2, 1), ("sft", 3, 2)]
    assert made.missing().select("key", "reason").rows() == [("q2", "no_answer")]


def test_composition_text_that_two_splits_miss_is_dropped_once():
    made = Composition()
    list(made.counted([batch(("sft", "math", 1, 0, True)), batch(("anneal", "math", 1, 0, True))]))
    assert made.missing().height == 1
