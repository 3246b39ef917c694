import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.vocabulary.seeds import draw, draws, key_number, names, row_seed

IDS = st.one_of(st.text("0123456789abcdef", min_size=16, max_size=16), st.text(max_size=20))


@pytest.mark.parametrize(
    ("key", "number"),
    [("00000000000000ff", 255), ("f" * 16, 2**64 - 1), ("q1", 0xC75DE8C1B7C3AE52), ("F" * 16, 0x5AAB68D58ED33835)],
)
def test_key_number_of_hex_digits_is_their_value_and_of_other_keys_their_hash(key, number):
    assert key_number(key) == number


@pytest.mark.parametrize(
    ("seed", "purpose", "keys", "expected"),
    [
        (0, "easy", ("0123456789abcdef",), 0.26531310192972635), (1, "easy", ("0123456789abcdef",), 0.75207642887139),
        (0, "anneal", ("q1", "model", "3"), 0.4190710176650363),
    ],
)  # fmt: skip
def test_draw_known_values_hold_across_releases(seed, purpose, keys, expected):
    assert draw(seed, purpose, *keys) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(IDS, st.integers(0, 99)), min_size=1, max_size=8), st.integers(0, 5))
def test_draws_of_columns_are_those_of_single_keys(rows, seed):
    frame = pl.DataFrame(rows, schema={"id": pl.String, "sample": pl.Int32}, orient="row")
    found = frame.select(draws(seed, "anneal", pl.col("id"), pl.col("sample"))).to_series().to_list()
    assert found == [draw(seed, "anneal", key, str(sample)) for key, sample in rows]


def test_draw_is_uniform_and_independent_of_other_seeds_and_purposes():
    keys = [f"{number:016x}" for number in range(4000)]
    made = [[draw(seed, purpose, key) < 0.25 for key in keys] for seed, purpose in ((0, "a"), (1, "a"), (0, "b"))]
    assert all(900 < sum(column) < 1100 for column in made)
    together = [sum(pair) for pair in ((a and b for a, b in zip(made[0], other, strict=True)) for other in made[1:])]
    assert all(190 < both < 310 for both in together)


def test_names_known_values_hold_across_releases():
    keys = [pl.Series(["a", "0123456789abcdef"]), pl.Series([3, 4])]
    assert names("purpose", keys).to_list() == ["a0d183b67709890e", "753f02db8b17f2dc"]


def test_row_seed_is_the_same_in_every_release():
    # A change here changes every response ever sampled: raise SCHEMA_VERSION of the stages that sample.
    assert row_seed(0, ("q1", "small", "question", 1, 0)) == 3602790689756518299


HEX_IDS = st.text("0123456789abcdef", min_size=16, max_size=16)
KEYS = st.tuples(HEX_IDS, st.text(max_size=8), st.sampled_from(["question", "summary"]), st.integers(1, 9), st.integers(0, 99))


@given(st.integers(0, 2**31), KEYS, KEYS)
def test_row_seed_differs_by_key_and_by_seed_and_fits_a_signed_column(seed, one, other):
    assert 0 <= row_seed(seed, one) < 2**62
    assert (row_seed(seed, one) == row_seed(seed, other)) == (one == other)
    assert row_seed(seed, one) != row_seed(seed + 1, one)
