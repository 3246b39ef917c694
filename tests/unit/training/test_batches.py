import pytest

from stillhouse.training.batches import passes


@pytest.mark.parametrize(
    ("most", "expected"), [(None, (64, 1)), ("64", (64, 1)), ("100", (64, 1)), ("24", (16, 4)), ("5", (4, 16)), ("1", (1, 64))]
)
def test_passes_make_the_whole_batch_on_every_machine(monkeypatch, most, expected):
    if most:
        monkeypatch.setenv("STILLHOUSE_MICRO_BATCH", most)
    assert passes(64) == expected


def test_passes_of_a_prime_batch_are_single_rows(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_MICRO_BATCH", "6")
    assert passes(7) == (1, 7)
