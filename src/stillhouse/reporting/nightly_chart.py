"""Scores over the runs of a profile: one line to each role, its intervals, and a star over champions. One protocol to a chart."""

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from stillhouse.benchmarks.intervals import Interval
from stillhouse.reporting import svg
from stillhouse.reporting.charts import AXIS, PLOT_HEIGHT, RIGHT, TOP
from stillhouse.reporting.svg import WIDTH, Scale

LEFT = 58.0
MOST_LABELS = 12
"""Runs named on the axis; of more, only every second, third … one is."""
SPREAD = 24.0
"""At most between the intervals of two roles of one run, which take half of the run's room: they do not lie on each other."""

Series = Mapping[str, Mapping[str, Interval]]
"""Role -> run -> its score."""


def over_runs(runs: Sequence[str], series: Series, colours: Mapping[str, int], champions: Mapping[str, str]) -> Markup:
    """pass@1 over the runs, which come in this order. ``champions``: run -> the role whose checkpoint became champion."""
    measured = [interval for by_run in series.values() for interval in by_run.values()]
    low, high = min(one.low for one in measured), max(one.high for one in measured)
    room = max(0.02, (high - low) * 0.12)
    band = (WIDTH - LEFT - RIGHT) / len(runs)
    widest = svg.text_width(runs)
    slope = 0.5 * widest if widest + 6 > band * _named_every(runs) else 0.0
    bottom = TOP + 10 + PLOT_HEIGHT
    scale = Scale(max(0.0, low - room), min(1.0, high + room), bottom, TOP + 10)
    marks = [*_axes(scale, runs, band, bottom, slope)]
    for index, (role, by_run) in enumerate(series.items()):
        shift = (index - (len(series) - 1) / 2) * min(SPREAD, 0.5 * band / len(series))
        at = {run: LEFT + (number + 0.5) * band + shift for number, run in enumerate(runs) if run in by_run}
        marks.append(svg.path([(x, scale(by_run[run].mean)) for run, x in at.items()], colours[role]))
        for run, x in at.items():
            marks += _point(scale, x, by_run[run], colours[role], f"{role} in {run}", star=champions.get(run) == role)
    return svg.figure(bottom + AXIS + slope, "pass@1 over runs (95 % interval)", marks) + _legend(series, colours)


def _point(scale: Scale, x: float, interval: Interval, colour: int, name: str, *, star: bool) -> Iterator[Markup]:
    yield svg.line(x, scale(interval.low), x, scale(interval.high), f"bound {svg.color(colour)}")
    told = f"{name}: {interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f}){', champion' if star else ''}"
    yield svg.dot(x, scale(interval.mean), colour, told, 4.0)
    if star:
        yield svg.text(x, scale(interval.high) - 5, "★")


def _axes(scale: Scale, runs: Sequence[str], band: float, bottom: float, slope: float) -> Iterator[Markup]:
    for tick in scale.ticks:
        yield svg.line(LEFT, scale(tick), WIDTH - RIGHT, scale(tick), "grid")
        yield svg.text(LEFT - 8, scale(tick) + 4, f"{tick:.0%}" if tick * 100 % 1 < 1e-9 else f"{tick:.1%}", "end")
    for number, run in list(enumerate(runs))[:: _named_every(runs)]:
        x = LEFT + (number + 0.5) * band
        yield svg.tilted(x + 4, bottom + 14, run) if slope else svg.text(x, bottom + 18, run)
    middle = (scale.start + scale.end) / 2
    yield Markup('<text x="12" y="{:.1f}" text-anchor="middle" transform="rotate(-90 12 {:.1f})">pass@1</text>').format(
        middle, middle
    )
    yield svg.text((LEFT + WIDTH - RIGHT) / 2, bottom + 38 + slope, "runs, the oldest first", kind="soft")


def _named_every(runs: Sequence[str]) -> int:
    """Every how many runs one is named."""
    return -(-len(runs) // MOST_LABELS)


def _legend(series: Series, colours: Mapping[str, int]) -> Markup:
    """The roles with their colours, which are the same in every chart of a page."""
    names = Markup("").join(Markup('<span><i class="{}"></i>{}</span>').format(svg.color(colours[role]), role) for role in series)
    return Markup('<p class="legend">{}<span>★ champion</span></p>').format(names)
