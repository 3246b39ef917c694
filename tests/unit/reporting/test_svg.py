import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.reporting import svg
from stillhouse.reporting.svg import Scale


@pytest.mark.parametrize(("rough", "step"), [(0.7, 1), (1, 1), (1.1, 2), (3, 5), (7, 10), (0.03, 0.05), (0, 1)])
def test_nice_step_is_1_2_or_5_times_a_power_of_ten(rough, step):
    assert svg.nice_step(rough) == pytest.approx(step)


@given(st.floats(1e-6, 1e12))
def test_rounded_up_holds_the_value_and_wastes_less_than_half(value):
    assert value * (1 - 1e-6) <= svg.rounded_up(value) <= 2 * value


@given(st.floats(1e-6, 1e9))
def test_ticks_are_few_and_between_the_ends(high):
    scale = Scale(0, high, 0, 100)
    assert 3 <= len(scale.ticks) <= 8
    assert all(-1e-6 <= tick <= high * (1 + 1e-6) for tick in scale.ticks)


def test_scale_draws_values_beyond_its_ends_at_the_ends():
    scale = Scale(0, 10, 100, 200)
    assert [scale(value) for value in (-5, 0, 5, 10, 99)] == [100, 100, 150, 200, 200]


def test_scale_of_one_value_does_not_divide_by_nothing():
    assert Scale(3, 3, 0, 10)(3) == 0


def test_label_that_is_too_long_loses_its_middle_and_keeps_it_in_the_tooltip():
    label = "b" + "x" * 100 + "e"
    made = svg.text(0, 0, label)
    assert len(svg.shortened(label)) == svg.LABEL_CHARS
    assert f"<title>{label}</title>" in made
    assert svg.shortened("short") == "short"
