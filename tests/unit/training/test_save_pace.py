import pytest

from stillhouse.training import save_pace


def test_grace_is_a_step_an_upload_under_way_and_a_save_with_a_tenth_to_spare():
    assert save_pace.grace_s(10, 5, 40) == pytest.approx(1.1 * (10 + 40 + 5 + 40))


def test_grace_that_is_too_short_is_a_warning_with_what_to_set(monkeypatch):
    assert save_pace.in_words(455_000_000_000, 10, 5, 20).startswith(
        "a preemption needs up to 61 s (10 s a step, 5 s to write 455.00 GB,"
    )
    said = save_pace.in_words(455_000_000_000, 60, 30, 300)
    assert said.startswith("warning: a preemption needs up to 13 min")
    assert "and has 120 s: raise STILLHOUSE_GRACE_S" in said
    monkeypatch.setenv("STILLHOUSE_GRACE_S", "900")
    assert not save_pace.in_words(455_000_000_000, 60, 30, 300).startswith("warning")
