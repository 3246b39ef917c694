"""Charts as self-contained pieces of a page: figures in the JSON of plotly.js, which the browser draws.

Plotly's Python classes are not used: they check what plotly.js takes, and take longer to load than a page to be made.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.benchmarks.intervals import Interval
    from stillhouse.benchmarks.trajectories import Step
    from stillhouse.reporting.summary import Score, Summary

Figure = dict[str, Any]
"""``data`` and ``layout``, see plotly.js's figure reference."""
Part = dict[str, Any]

BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9822b", "#3d9a6b", "#8a94a3"
SERIES = (BLUE, ORANGE, GREEN, GREY, "#a05195", "#c9b037")
DOWNWARD = {"autorange": "reversed"}
GRID = {"gridcolor": "rgba(130,140,155,.22)", "zeroline": False, "automargin": True, "ticks": ""}


def html(figure: Figure, *, with_library: bool) -> str:
    """The chart as a ``div`` and its script; the first one on a page carries plotly.js with it, so that the page works offline."""
    library = f"<script>{_library()}</script>\n" if with_library else ""
    # No text in a figure may end the script that it stands in.
    data, layout = (json.dumps(figure[part]).replace("<", "\\u003c") for part in ("data", "layout"))
    draw = f"Plotly.newPlot(document.currentScript.previousElementSibling, {data}, {layout}, "
    return f"{library}<div></div><script>{draw}{{displayModeBar: false, responsive: true}})</script>"


@cache
def _library() -> str:
    """The text of plotly.js, which the package plotly ships."""
    shipped = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    return Path(str(shipped)).read_text(encoding="utf-8")


def ladder(scores: "Sequence[Score]") -> Figure:
    """pass@1 of every checkpoint with its 95 % interval, in the order of training."""
    traces = []
    for color, number in zip(SERIES * 2, sorted({score.number for score in scores}), strict=False):
        shown = [score for score in scores if score.number == number]
        names = [f"{score.label}<br>{score.benchmark}" for score in shown]
        hover = "%{y}<br>pass@1 %{x:.3f}<extra></extra>"
        traces.append(_points([score.measured for score in shown], names, color, hover) | {"name": f"round {number}"})
    rows = len({(score.label, score.benchmark) for score in scores})
    across = {"range": [0, 1], "title": _title("pass@1 (95 % interval)"), "tickformat": ".0%"}
    return _figure(traces, 130 + 46 * rows, across, DOWNWARD)


def hesitation(steps: "Sequence[Step]") -> Figure:
    """Mean count of hesitation words in a response, before and after, by trajectory (Think Twice, Figs 3 and 4)."""
    places = _before_and_after(steps)
    traces = [
        _bars(places, [count for step in steps for group in step.groups for count in group.words[word]], color, word)
        for color, word in zip(SERIES, steps[0].groups[0].words, strict=False)
    ]
    return _figure(traces, 380, {}, {"title": _title("words in a response"), "rangemode": "nonnegative"})


def lengths(steps: "Sequence[Step]") -> Figure:
    """Mean tokens of a response, before and after, by trajectory (Think Twice, Fig. 5)."""
    heights = [count for step in steps for group in step.groups for count in group.tokens]
    bars = _bars(_before_and_after(steps), heights, [BLUE, ORANGE] * (len(heights) // 2))
    return _figure([bars], 340, {}, {"title": _title("tokens of a response")})


def _before_and_after(steps: "Sequence[Step]") -> list[list[str]]:
    """Two levels of an axis: the trajectory (and which rounds, if there are several steps), then the round."""
    pairs = [(step, group) for step in steps for group in step.groups]
    names = [group.name if len(steps) == 1 else f"{group.name}, to R{step.number}" for step, group in pairs]
    return [
        [name for name in names for _ in (0, 1)],
        [f"R{number}" for step, _ in pairs for number in (step.number - 1, step.number)],
    ]


def paired(compared: "Mapping[str, Mapping[str, Interval]]") -> Figure:
    """Differences in pass@1 with their paired intervals, a series to a checkpoint."""
    traces = [
        _points(list(found.values()), [f"{label}<br>{name}" for name in found], color, "%{y}<br>%{x:+.3f}<extra></extra>")
        for color, (label, found) in zip(SERIES * 4, compared.items(), strict=False)
    ]
    none = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "y domain", "line": {"color": GREY, "dash": "dot"}}
    across = {"title": _title("difference in pass@1 (95 % interval)"), "tickformat": "+.0%"}
    return _figure(traces, 130 + 46 * sum(map(len, compared.values())), across, DOWNWARD, showlegend=False, shapes=[none])


def pass_rates(summary: "Summary") -> Figure:
    """Questions by pass rate, one series to a model (like DeepDistill's Fig. 8)."""
    counts = {model: {rate: counts[rate] for rate in sorted(counts, key=float)} for model, counts in summary.pass_rates.items()}
    every = sorted({rate for found in counts.values() for rate in found}, key=float)
    return _binned(counts, every, "pass rate", "questions")


def bars(counts: "Mapping[str, Mapping[str, float]]", x: str, y: str, *, stacked: bool = False) -> Figure:
    """Counts by series and bin, bins in the order in which they first come."""
    every = list(dict.fromkeys(name for values in counts.values() for name in values))
    return _binned(counts, every, x, y, barmode="stack" if stacked else "group", showlegend=len(counts) > 1)


def lines(points: "Mapping[str, Mapping[float, float]]", x: str, y: str) -> Figure:
    """One line to a series; the y axis is logarithmic, as series of very different sizes are to be compared."""
    traces = [
        {"type": "scatter", "mode": "lines+markers", "x": list(values), "y": list(values.values()), "name": series,
         "line": {"color": color}}
        for color, (series, values) in zip(SERIES * 4, points.items(), strict=False)
    ]  # fmt: skip
    return _figure(traces, 380, {"title": _title(x)}, {"title": _title(y), "type": "log"})


def funnel(steps: "Sequence[tuple[str, int]]") -> Figure:
    """How many are left after each step, with their share of the first."""
    first = max(steps[0][1], 1)
    texts = [f"{count:,} · {count / first:.1%}" for _, count in steps]
    return _figure([_lying(steps) | {"text": texts, "textposition": "auto"}], 90 + 34 * len(steps), {}, DOWNWARD)


def stage_seconds(summary: "Summary") -> Figure:
    """Wall time of every stage."""
    return ranked([(hop.label, hop.seconds) for hop in summary.hops], "seconds")


def ranked(values: Sequence[tuple[str, float]], title: str) -> Figure:
    """One bar to a label, from the top."""
    return _figure([_lying(values)], 90 + 24 * len(values), {"title": _title(title)}, DOWNWARD | {"type": "category"})


def _binned(counts: "Mapping[str, Mapping[str, float]]", every: Sequence[str], x: str, y: str, **layout: Any) -> Figure:
    """Upright bars. ``every`` bin is named: left to itself, plotly puts one that only the second series has behind the first's."""
    traces = [
        _bars(list(values), list(values.values()), color, series)
        for color, (series, values) in zip(SERIES * 4, counts.items(), strict=False)
    ]
    across = {"title": _title(x), "type": "category", "categoryorder": "array", "categoryarray": list(every)}
    return _figure(traces, 340, across, {"title": _title(y)}, **layout)


def _bars(x: Sequence[Any], heights: Sequence[float], color: str | Sequence[str], name: str | None = None) -> Part:
    return {"type": "bar", "x": x, "y": heights, "marker": {"color": color}} | ({"name": name} if name else {})


def _lying(values: Sequence[tuple[str, float]]) -> Part:
    lengths, names = [value for _, value in values], [name for name, _ in values]
    return {"type": "bar", "orientation": "h", "x": lengths, "y": names, "marker": {"color": BLUE}}


def _points(measured: "Sequence[Interval]", names: Sequence[str], color: str, hover: str) -> Part:
    """Points with their intervals, one under the other."""
    above, below = [each.high - each.mean for each in measured], [each.mean - each.low for each in measured]
    return {
        "type": "scatter", "mode": "markers", "x": [each.mean for each in measured], "y": names,
        "error_x": {"type": "data", "symmetric": False, "thickness": 2, "array": above, "arrayminus": below},
        "marker": {"size": 11, "color": color}, "hovertemplate": hover,
    }  # fmt: skip


def _title(text: str) -> Part:
    return {"text": text, "standoff": 15}


def _figure(traces: Sequence[Part], height: int, x: Part, y: Part, **layout: Any) -> Figure:
    """In the one style of all charts; the page gives the background, light or dark."""
    style = {
        "height": height, "margin": {"l": 10, "r": 20, "t": 50, "b": 40}, "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)", "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#7a8594"},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02}, "hovermode": "closest", "autotypenumbers": "strict",
    }  # fmt: skip
    return {"data": list(traces), "layout": style | {"xaxis": GRID | x, "yaxis": GRID | y} | layout}
