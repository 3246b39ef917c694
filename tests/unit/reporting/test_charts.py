import re
from xml.etree import ElementTree

import pytest

from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import Score
from stillhouse.benchmarks.paired import PairedDifference
from stillhouse.benchmarks.trajectories import RoundStep, TrajectoryGroup
from stillhouse.reporting import charts

NASTY = "</svg><script>alert(1)</script>"
WORDS = {"but": (1.0, 2.0), "wait": (0.5, 0.0)}
STEPS = [
    RoundStep(
        2,
        Interval(0.1, 0.0, 0.2),
        3,
        1,
        12.0,
        1.2,
        (TrajectoryGroup("all", 4, (20.0, 12.0), WORDS), TrajectoryGroup("I-C", 1, (30.0, 9.5), WORDS)),
    )
]


def score(label="toy", number=1, mean=0.5, low=0.375, high=0.75):
    return Score(label, "arithmetic", number, Interval(mean, low, high), 9, 1.0, 1.0)


def drawing(chart):
    """The chart's SVG, which has to be well formed."""
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", chart, re.DOTALL)[0])


def tooltips(chart):
    return [title.text for title in drawing(chart).iter("title")]


def marks(chart, tag):
    return [
        {key: float(value) if re.fullmatch(r"-?[\d.]+", value) else value for key, value in mark.items()}
        for mark in drawing(chart).iter(tag)
    ]


def texts(chart):
    return [text.text for text in drawing(chart).iter("text")]


def test_ladder_has_a_point_with_its_interval_for_every_checkpoint_and_round():
    chart = charts.ladder([score("a"), score("b", mean=0.25, low=0.0, high=0.5)])
    assert tooltips(chart) == ["a · arithmetic, round 1: 0.500 (0.375 to 0.750)", "b · arithmetic, round 1: 0.250 (0.000 to 0.500)"]
    first, second = marks(chart, "circle")
    assert first["cx"] > second["cx"]
    assert first["cy"] < second["cy"], "the first checkpoint is on top"
    bounds = [line for line in marks(chart, "line") if line["class"].startswith("bound")]
    assert bounds[0]["x1"] < first["cx"] < bounds[0]["x2"]
    assert [text for text in texts(chart) if text.endswith("%")] == ["0%", "20%", "40%", "60%", "80%", "100%"]


def test_ladder_has_every_round_of_eight_in_the_legend_and_its_own_place():
    chart = charts.ladder([score(number=number) for number in range(1, 9)])
    assert re.findall(r"</i>(round \d)", chart) == [f"round {number}" for number in range(1, 9)]
    assert len({mark["cy"] for mark in marks(chart, "circle")}) == 8


def test_paired_is_symmetric_around_no_difference():
    chart = charts.paired({"m1": [PairedDifference("arithmetic", 1, Interval(0.2, 0.1, 0.3))], "m2": []})
    (zero,) = (line for line in marks(chart, "line") if line["class"] == "zero")
    (point,) = marks(chart, "circle")
    assert point["cx"] > zero["x1"]
    assert tooltips(chart) == ["m1 · arithmetic/round_1, m1: +0.200 (+0.100 to +0.300)"]


def test_pass_rates_are_in_the_order_of_the_rates_and_tabulated():
    chart = charts.pass_rates({"small": {"0": 1, "1": 2}, "large": {"0.5": 3, "1": 4}})
    assert [text for text in texts(chart) if text in {"0", "0.5", "1"}][-3:] == ["0", "0.5", "1"]
    assert tooltips(chart) == ["small, 0: 1", "small, 1: 2", "large, 0.5: 3", "large, 1: 4"]
    assert '<tr><td>0.5</td><td class="n">0</td><td class="n">3</td></tr>' in chart


def test_bars_heights_are_in_proportion():
    low, high = marks(charts.bars({"a": {"x": 10, "y": 40}}, "bin", "count"), "rect")
    assert high["height"] == pytest.approx(4 * low["height"], abs=0.2)
    assert low["y"] + low["height"] == pytest.approx(high["y"] + high["height"], abs=0.2)


def test_bars_stacked_stand_on_each_other():
    below, above = marks(charts.bars({"a": {"x": 10}, "b": {"x": 5}}, "bin", "count", stacked=True), "rect")
    assert above["y"] + above["height"] == pytest.approx(below["y"], abs=0.2)
    assert above["x"] == below["x"]


def test_bars_with_long_names_are_labelled_aslant():
    chart = charts.bars({"a": {f"{10**place:,} to {10 ** (place + 1):,}": 1.0 for place in range(8)}}, "length", "examples")
    assert sum("rotate(-35" in str(text.get("transform")) for text in drawing(chart).iter("text")) == 8


def test_lines_are_logarithmic_and_leave_zeros_out():
    chart = charts.lines({"a": {0.1: 1.0, 0.2: 10.0, 0.3: 100.0, 0.4: 0.0}}, "threshold", "kept")
    first, second, third = marks(chart, "circle")
    assert first["cy"] - second["cy"] == pytest.approx(second["cy"] - third["cy"], abs=0.2)
    assert [text for text in texts(chart) if text in {"1", "10", "100"}] == ["1", "10", "100"]


def test_funnel_writes_counts_with_their_share_of_the_first():
    chart = charts.funnel([("questions", 2000), ("kept", 500)])
    assert {"2,000 · 100.0%", "500 · 25.0%"} <= set(texts(chart))


def test_hesitation_and_lengths_have_each_trajectory_before_and_after():
    assert tooltips(charts.lengths(STEPS)) == ["before, all: 20", "before, I-C: 30", "after, all: 12", "after, I-C: 9.5"]
    assert tooltips(charts.hesitation(STEPS))[:4] == ["but, all R1: 1", "but, all R2: 2", "but, I-C R1: 1", "but, I-C R2: 2"]


@pytest.mark.parametrize(
    "chart",
    [
        charts.ladder([score(NASTY)]), charts.paired({NASTY: [PairedDifference(NASTY, 1, Interval(0.2, 0.1, 0.3))]}),
        charts.pass_rates({NASTY: {"0": 1}}), charts.bars({NASTY: {NASTY: 1.0}}, NASTY, NASTY),
        charts.lines({NASTY: {0.1: 2.0}}, NASTY, NASTY), charts.funnel([(NASTY, 4)]), charts.ranked([(NASTY, 1.0)], NASTY),
    ],
    ids=["ladder", "paired", "pass_rates", "bars", "lines", "funnel", "ranked"],
)  # fmt: skip
def test_chart_shows_markup_in_a_name_as_text(chart):
    assert "<script" not in chart
    assert any("alert(1)" in text for text in [*drawing(chart).itertext(), chart])


@pytest.mark.parametrize(
    "chart",
    [
        charts.ladder([]),
        charts.bars({}, "x", "y"),
        charts.bars({"a": {"x": 0}}, "x", "y"),
        charts.ranked([("a", 0)], "s"),
        charts.funnel([("all", 0)]),
    ],
)
def test_chart_of_nothing_is_still_well_formed(chart):
    assert drawing(chart).get("role") == "img"


def test_curves_draw_dots_only_where_a_curve_has_room_for_them():
    long = [(float(step), 1.0 / (step + 1)) for step in range(100)]
    short = [(float(step), 0.5) for step in range(20)]
    drawn = charts.curves({"long": long, "short": short, "rare": [(0.0, 1.0), (50.0, 0.5), (99.0, 0.25)]}, "step", "loss")
    assert drawn.count("<circle") == 3, "those of the rare one: 20 points side by side in a fifth of the chart are a line too"
    assert charts.curves({"short": short}, "step", "loss").count("<circle") == 20
    assert charts.curves({"one": [(1.0, 2.0)]}, "step", "loss").count("<circle") == 1
