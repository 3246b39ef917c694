"""The charts of our pages: points with intervals, bars, lines and histograms, as inline SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import Score
from stillhouse.benchmarks.paired import PairedDifference
from stillhouse.benchmarks.trajectories import RoundStep, TrajectoryGroup
from stillhouse.reporting import svg
from stillhouse.reporting.svg import WIDTH, Format, Scale

TOP, RIGHT = 14.0, 24.0
AXIS = 46.0
"""Room below a plot for ticks and the axis' title."""
ROW = 34.0
"""Height of a row of points."""
BAR_ROW = 26.0
PLOT_HEIGHT = 230.0
"""Of a chart with upright bars or lines."""
GROUP_SHARE = 0.78
"""Share of a bin's width that its bars fill."""

Counts = Mapping[str, Mapping[str, float]]
"""Series -> bin -> count."""
DOT_ROOM = 9.0
"""Room that a dot of a curve needs: where a curve's points are closer to each other, it is a line alone."""


def ladder(scores: Sequence[Score]) -> Markup:
    """pass@1 of every checkpoint with its 95 % interval, in the order of training; one colour per round."""
    numbers = sorted({score.number for score in scores})
    rows = list(dict.fromkeys((score.label, score.benchmark) for score in scores))
    points = [
        (rows.index((score.label, score.benchmark)), numbers.index(score.number), score.measured, f"round {score.number}")
        for score in scores
    ]
    labels = [f"{label} · {benchmark}" for label, benchmark in rows]
    legend = [f"round {number}" for number in numbers]
    return _intervals(labels, points, (0.0, 1.0), "{:.0%}".format, "{:.3f}", "pass@1 (95 % interval)", legend)


def paired(compared: Mapping[str, Sequence[PairedDifference]]) -> Markup:
    """Differences in pass@1 with their paired intervals; one colour per checkpoint."""
    rows = [(index, label, difference) for index, (label, listed) in enumerate(compared.items()) for difference in listed]
    widest = max((abs(end) for _, _, item in rows for end in (item.interval.low, item.interval.high)), default=0.0)
    reach = svg.rounded_up(max(widest, 0.01))
    points = [(index, series, item.interval, label) for index, (series, label, item) in enumerate(rows)]
    labels = [f"{label} · {item.name}" for _, label, item in rows]
    return _intervals(labels, points, (-reach, reach), _signed_percent, "{:+.3f}", "difference in pass@1 (95 % interval)", [])


def _intervals(
    labels: Sequence[str], points: Sequence[tuple[int, int, Interval, str]], ends: tuple[float, float], tick: Format, value: str,
    title: str, legend: Sequence[str],
) -> Markup:  # fmt: skip
    """Points with intervals, row by row; ``points``: row, series, interval, what a tooltip calls it."""
    left, height = 16 + svg.text_width(labels), max(1, len(labels)) * ROW
    scale = Scale(*ends, left, WIDTH - RIGHT)
    marks = list(_value_axis(scale, TOP, TOP + height, tick, title))
    if ends[0] < 0:
        marks.append(svg.line(scale(0), TOP, scale(0), TOP + height, "zero"))
    middles = [TOP + (row + 0.5) * ROW for row in range(len(labels))]
    marks += [svg.text(left - 8, y + 4, label, "end") for y, label in zip(middles, labels, strict=True)]
    several = max(1, len(legend))
    for row, series, interval, name in points:
        # Rounds of one checkpoint lie close to each other: spread them over the row.
        y = middles[row] + (series - (several - 1) / 2) * min(7.0, 24 / several) * (several > 1)
        mean, low, high = (value.format(number) for number in (interval.mean, interval.low, interval.high))
        marks.append(svg.line(scale(interval.low), y, scale(interval.high), y, f"bound {svg.color(series)}"))
        marks.append(svg.dot(scale(interval.mean), y, series, f"{labels[row]}, {name}: {mean} ({low} to {high})"))
    return svg.figure(TOP + height + AXIS, title, marks, legend)


def hesitation(steps: Sequence[RoundStep]) -> Markup:
    """Mean count of hesitation words in a response, before and after, by trajectory (Think Twice, Figs 3 and 4)."""
    words = list(steps[0].groups[0].words)
    counts = {
        word: {
            f"{name} R{number}": count
            for name, step, group in _trajectories(steps)
            for number, count in zip((step.number - 1, step.number), group.words[word], strict=True)
        }
        for word in words
    }
    return bars(counts, "trajectory and round", "words in a response", tabulated=False)


def lengths(steps: Sequence[RoundStep]) -> Markup:
    """Mean tokens of a response, before and after, by trajectory (Think Twice, Fig. 5)."""
    counts = {
        side: {name: group.tokens[index] for name, _, group in _trajectories(steps)}
        for index, side in enumerate(("before", "after"))
    }
    return bars(counts, "trajectory", "tokens of a response", tabulated=False)


def _trajectories(steps: Sequence[RoundStep]) -> list[tuple[str, RoundStep, TrajectoryGroup]]:
    """The name of each group, with its round if there are several steps; its step; the group."""
    several = len(steps) > 1
    return [(f"{group.name} to R{step.number}" if several else group.name, step, group) for step in steps for group in step.groups]


def pass_rates(counts: Mapping[str, Mapping[str, int]]) -> Markup:
    """Questions by pass rate, one series per model (like DeepDistill's Fig. 8)."""
    rates = sorted({rate for series in counts.values() for rate in series}, key=float)
    ordered = {model: {rate: float(series.get(rate, 0)) for rate in rates} for model, series in counts.items()}
    return bars(ordered, "pass rate", "questions")


def bars(counts: Counts, x: str, y: str, *, stacked: bool = False, tabulated: bool = True) -> Markup:
    """Upright bars by series and bin, bins in the order in which they first come; the numbers are in a table below."""
    bins = list(dict.fromkeys(name for series in counts.values() for name in series))
    tops = [sum(series.get(name, 0.0) for series in counts.values()) for name in bins] if stacked else []
    tops += [value for series in counts.values() for value in series.values()]
    left, slope = 66.0, _slope(bins, (WIDTH - 66 - RIGHT) / max(len(bins), 1))
    scale = Scale(0.0, svg.rounded_up(max(tops, default=0.0)), TOP + PLOT_HEIGHT, TOP)
    band = (WIDTH - left - RIGHT) / max(len(bins), 1)
    marks = [*_upright_axis(scale, left, number, y), *_bin_axis(bins, left, band, slope, x)]
    marks += _stacked(counts, bins, left, band, scale) if stacked else _grouped(counts, bins, left, band, scale)
    legend = list(counts) if len(counts) > 1 else []
    shown = svg.figure(TOP + PLOT_HEIGHT + AXIS + slope, f"{y} by {x}", marks, legend)
    rows = [[name, *(number(series.get(name, 0.0)) for series in counts.values())] for name in bins]
    return shown + svg.table([x, *counts], rows) if tabulated else shown


def _grouped(counts: Counts, bins: Sequence[str], left: float, band: float, scale: Scale) -> Iterator[Markup]:
    """The series side by side in every bin."""
    width = band * GROUP_SHARE / max(len(counts), 1)
    for series, (label, values) in enumerate(counts.items()):
        for index, name in enumerate(bins):
            if value := values.get(name, 0.0):
                x = left + index * band + band * (1 - GROUP_SHARE) / 2 + series * width
                tooltip = f"{label}, {name}: {number(value)}"
                yield svg.bar(x, scale(value), max(width - 1, 1), scale(0) - scale(value), series, tooltip)


def _stacked(counts: Counts, bins: Sequence[str], left: float, band: float, scale: Scale) -> Iterator[Markup]:
    """The series on top of each other in every bin."""
    for index, name in enumerate(bins):
        below, x = 0.0, left + index * band + band * (1 - GROUP_SHARE) / 2
        for series, (label, values) in enumerate(counts.items()):
            if value := values.get(name, 0.0):
                bottom, top = scale(below), scale(below + value)
                yield svg.bar(x, top, band * GROUP_SHARE, bottom - top, series, f"{label}, {name}: {number(value)}")
                below += value


def lines(points: Mapping[str, Mapping[float, float]], x: str, y: str) -> Markup:
    """One line per series over a logarithmic y axis, for series of very different sizes; zeros are left out."""
    across = [x_value for values in points.values() for x_value in values]
    up = [value for values in points.values() for value in values.values() if value > 0] or [1.0]
    left, bottom = 66.0, TOP + PLOT_HEIGHT
    x_scale = Scale(min(across), max(across), left + 12, WIDTH - RIGHT - 12)
    y_scale = Scale(min(up) / 1.3, max(up) * 1.3, bottom, TOP, logarithmic=True)
    marks = [*_upright_axis(y_scale, left, number, y), *_value_axis(x_scale, bottom, bottom, "{:g}".format, x)]
    for series, (label, values) in enumerate(points.items()):
        shown = [(x_value, y_value) for x_value, y_value in values.items() if y_value > 0]
        marks.append(svg.path([(x_scale(x_value), y_scale(y_value)) for x_value, y_value in shown], series))
        marks += [
            svg.dot(x_scale(x_value), y_scale(y_value), series, f"{label}, {x} {x_value:g}: {number(y_value)}", 4)
            for x_value, y_value in shown
        ]
    return svg.figure(bottom + AXIS, f"{y} by {x}", marks, list(points))


def curves(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> Markup:
    """One line per series, both axes linear; values that are no numbers are left out, and dots are drawn where they have room."""
    finite = {label: [point for point in points if math.isfinite(point[1])] for label, points in series.items()}
    across, up = ([point[axis] for points in finite.values() for point in points] or [0.0] for axis in (0, 1))
    reach = max(up) - min(up) or abs(max(up)) or 1.0
    left, bottom = 66.0, TOP + PLOT_HEIGHT
    x_scale = Scale(min(across), max(across), left + 12, WIDTH - RIGHT - 12)
    y_scale = Scale(min(up) - 0.03 * reach, max(up) + 0.03 * reach, bottom, TOP)
    marks = [*_upright_axis(y_scale, left, "{:.4g}".format, y), *_value_axis(x_scale, bottom, bottom, "{:,g}".format, x)]
    for index, (label, points) in enumerate(finite.items()):
        places = [(x_scale(x_value), y_scale(y_value)) for x_value, y_value in points]
        marks.append(svg.path(places, index))
        if places and places[-1][0] - places[0][0] >= DOT_ROOM * (len(places) - 1):
            marks += [
                svg.dot(*place, index, f"{label}, {x} {x_value:g}: {number(y_value)}", 3)
                for place, (x_value, y_value) in zip(places, points, strict=True)
            ]
    return svg.figure(bottom + AXIS, f"{y} by {x}", marks, list(series))


def funnel(steps: Sequence[tuple[str, float]]) -> Markup:
    """How many are left after each step, with their share of the first."""
    first = max(steps[0][1], 1)
    return _lying([(name, count, f"{count:,.0f} · {count / first:.1%}") for name, count in steps], "left after each step")


def ranked(values: Sequence[tuple[str, float]], title: str) -> Markup:
    """One bar per label, from the top."""
    return _lying([(name, value, number(value)) for name, value in values], title)


def _lying(rows: Sequence[tuple[str, float, str]], title: str) -> Markup:
    """Horizontal bars, each with its value written beside it; ``rows``: label, value, how it is written."""
    left = 16 + svg.text_width(name for name, _, _ in rows)
    room = svg.text_width(written for _, _, written in rows) + 12
    scale = Scale(0.0, max((value for _, value, _ in rows), default=0.0) or 1.0, left, WIDTH - room)
    marks = []
    for index, (name, value, written) in enumerate(rows):
        y = TOP + index * BAR_ROW
        marks += [
            svg.text(left - 8, y + 15, name, "end"),
            svg.bar(left, y + 2, scale(value) - left, BAR_ROW - 7, 0, f"{name}: {written}"),
            svg.text(scale(value) + 6, y + 15, written, "start"),
        ]
    bottom = TOP + len(rows) * BAR_ROW
    return svg.figure(bottom + 22, title, [*marks, svg.text((left + WIDTH - room) / 2, bottom + 14, title, kind="soft")])


def _value_axis(scale: Scale, top: float, bottom: float, written: Format, title: str) -> Iterator[Markup]:
    """The horizontal axis of values: a grid line and a label per tick, and the title below."""
    for tick in scale.ticks:
        yield svg.line(scale(tick), top, scale(tick), bottom, "grid")
        yield svg.text(scale(tick), bottom + 18, written(tick))
    yield svg.text((scale.start + scale.end) / 2, bottom + 38, title, kind="soft")


def _upright_axis(scale: Scale, left: float, written: Format, title: str) -> Iterator[Markup]:
    """The vertical axis of values, its title beside it from bottom to top."""
    for tick in scale.ticks:
        yield svg.line(left, scale(tick), WIDTH - RIGHT, scale(tick), "grid")
        yield svg.text(left - 8, scale(tick) + 4, written(tick), "end")
    middle = (scale.start + scale.end) / 2
    yield Markup('<text x="14" y="{:.1f}" text-anchor="middle" transform="rotate(-90 14 {:.1f})">{}</text>').format(
        middle, middle, title
    )


def _bin_axis(bins: Sequence[str], left: float, band: float, slope: float, title: str) -> Iterator[Markup]:
    """The horizontal axis of bins, their names tilted if they would run into each other."""
    bottom = TOP + PLOT_HEIGHT
    yield svg.line(left, bottom, WIDTH - RIGHT, bottom, "grid")
    for index, name in enumerate(bins):
        x = left + (index + 0.5) * band
        yield svg.tilted(x + 4, bottom + 14, name) if slope else svg.text(x, bottom + 18, name)
    yield svg.text((left + WIDTH - RIGHT) / 2, bottom + 38 + slope, title, kind="soft")


def _slope(bins: Sequence[str], band: float) -> float:
    """Room below the axis for tilted names; 0 if they fit side by side."""
    widest = svg.text_width(bins)
    return 0.0 if widest + 6 <= band else 0.6 * widest


def _signed_percent(value: float) -> str:
    return f"{value:+.0%}" if value else "0%"


def number(value: float) -> str:
    """Whole numbers with their thousands apart, others to three digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
