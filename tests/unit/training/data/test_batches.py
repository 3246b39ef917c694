import pytest

from stillhouse.errors import BadConfig
from stillhouse.training.data.batches import passes


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


@pytest.mark.parametrize(("processes", "most", "expected"), [("2", None, (32, 1)), ("8", "3", (2, 4)), ("64", None, (1, 1))])
def test_passes_share_the_batch_over_the_processes(monkeypatch, processes, most, expected):
    monkeypatch.setenv("WORLD_SIZE", processes)
    if most:
        monkeypatch.setenv("STILLHOUSE_MICRO_BATCH", most)
    assert passes(64) == expected


def test_passes_keep_rows_that_belong_together_on_one_process(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert passes(8, "prompts_per_step", 16) == (32, 1)
    with pytest.raises(BadConfig, match="prompts_per_step 6 cannot be shared evenly by 4 processes; start as many as divide it"):
        passes(6, "prompts_per_step", 16)
