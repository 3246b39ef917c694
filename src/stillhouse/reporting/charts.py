"""Charts as self-contained pieces of a page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from stillhouse.benchmarks.rounds import Step
    from stillhouse.benchmarks.statistics import Interval
    from stillhouse.reporting.summary import Score, Summary

BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9822b", "#3d9a6b", "#8a94a3"
SERIES = (BLUE, ORANGE, GREEN, GREY, "#a05195", "#c9b037")


def html(figure: "go.Figure", *, with_library: bool) -> str:
    """The chart as a ``div``; the first one on a page carries plotly.js with it, so that the page works offline."""
    text: str = figure.to_html(full_html=False, include_plotlyjs=with_library, config={"displayModeBar": False, "responsive": True})
    return text


def ladder(scores: "list[Score]") -> "go.Figure":
    """pass@1 of every checkpoint with its 95 % interval, in the order of training."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for color, number in zip(SERIES * 2, sorted({score.number for score in scores}), strict=False):
        shown = [score for score in scores if score.number == number]
        above = [score.measured.high - score.measured.mean for score in shown]
        below = [score.measured.mean - score.measured.low for score in shown]
        points = go.Scatter(
            x=[score.measured.mean for score in shown], y=[f"{score.label}<br>{score.benchmark}" for score in shown],
            error_x={"type": "data", "symmetric": False, "thickness": 2, "array": above, "arrayminus": below},
            mode="markers", marker={"size": 11, "color": color}, name=f"round {number}",
            hovertemplate="%{y}<br>pass@1 %{x:.3f}<extra></extra>",
        )  # fmt: skip
        figure.add_trace(points)
    rows = len({(score.label, score.benchmark) for score in scores})
    figure.update_layout(yaxis={"autorange": "reversed"})
    figure.update_xaxes(range=[0, 1], title="pass@1 (95 % interval)", tickformat=".0%")
    return _styled(figure, 130 + 46 * rows)


def hesitation(steps: "Sequence[Step]") -> "go.Figure":
    """Mean count of hesitation words in a response, before and after, by trajectory (Think Twice, Figs 3 and 4)."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for color, word in zip(SERIES, steps[0].groups[0].words, strict=False):
        heights = [count for step in steps for group in step.groups for count in group.words[word]]
        figure.add_trace(go.Bar(x=_before_and_after(steps), y=heights, name=word, marker_color=color))
    figure.update_layout(barmode="group", yaxis={"title": "words in a response", "rangemode": "nonnegative"})
    return _styled(figure, 380)


def lengths(steps: "Sequence[Step]") -> "go.Figure":
    """Mean tokens of a response, before and after, by trajectory (Think Twice, Fig. 5)."""
    import plotly.graph_objects as go

    heights = [count for step in steps for group in step.groups for count in group.tokens]
    figure = go.Figure(go.Bar(x=_before_and_after(steps), y=heights, marker_color=[BLUE, ORANGE] * (len(heights) // 2)))
    figure.update_layout(yaxis={"title": "tokens of a response"})
    return _styled(figure, 340)


def _before_and_after(steps: "Sequence[Step]") -> list[list[str]]:
    """Two levels of an axis: the trajectory (and which rounds, if there are several steps), then the round."""
    pairs = [(step, group) for step in steps for group in step.groups]
    names = [group.name if len(steps) == 1 else f"{group.name}, to R{step.number}" for step, group in pairs]
    return [
        [name for name in names for _ in (0, 1)],
        [f"R{number}" for step, _ in pairs for number in (step.number - 1, step.number)],
    ]


def paired(compared: "Mapping[str, Mapping[str, Interval]]") -> "go.Figure":
    """Differences in pass@1 with their paired intervals, a series to a checkpoint."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for color, (label, differences) in zip(SERIES * 4, compared.items(), strict=False):
        found = list(differences.values())
        points = go.Scatter(
            x=[each.mean for each in found], y=[f"{label}<br>{name}" for name in differences], mode="markers",
            error_x={"type": "data", "symmetric": False, "thickness": 2, "array": [each.high - each.mean for each in found],
                     "arrayminus": [each.mean - each.low for each in found]},
            marker={"size": 11, "color": color}, hovertemplate="%{y}<br>%{x:+.3f}<extra></extra>",
        )  # fmt: skip
        figure.add_trace(points)
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_layout(yaxis={"autorange": "reversed"}, showlegend=False)
    figure.update_xaxes(title="difference in pass@1 (paired 95 % interval)", tickformat="+.0%")
    return _styled(figure, 130 + 46 * sum(map(len, compared.values())))


def pass_rates(summary: "Summary") -> "go.Figure":
    """Questions by pass rate, one series to a model (like DeepDistill's Fig. 8)."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for color, (model, counts) in zip(SERIES * 4, summary.pass_rates.items(), strict=False):
        rates = sorted(counts, key=float)
        figure.add_trace(go.Bar(x=rates, y=[counts[rate] for rate in rates], name=model, marker_color=color))
    figure.update_layout(barmode="group", yaxis={"title": "questions"})
    # Left to itself, plotly puts a rate that only the second model has behind all of the first's.
    every = sorted({rate for counts in summary.pass_rates.values() for rate in counts}, key=float)
    figure.update_xaxes(title="pass rate", type="category", categoryorder="array", categoryarray=every)
    return _styled(figure, 340)


def bars(counts: "Mapping[str, Mapping[str, float]]", x: str, y: str, *, stacked: bool = False) -> "go.Figure":
    """Counts by series and bin, bins in the order in which they first come."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for color, (series, values) in zip(SERIES * 4, counts.items(), strict=False):
        figure.add_trace(go.Bar(x=list(values), y=list(values.values()), name=series, marker_color=color))
    every = list(dict.fromkeys(name for values in counts.values() for name in values))
    figure.update_layout(barmode="stack" if stacked else "group", yaxis={"title": y}, showlegend=len(counts) > 1)
    figure.update_xaxes(title=x, type="category", categoryorder="array", categoryarray=every)
    return _styled(figure, 340)


def lines(points: "Mapping[str, Mapping[float, float]]", x: str, y: str) -> "go.Figure":
    """One line to a series; the y axis is logarithmic, as series of very different sizes are to be compared."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for color, (series, values) in zip(SERIES * 4, points.items(), strict=False):
        figure.add_trace(go.Scatter(x=list(values), y=list(values.values()), name=series, mode="lines+markers", line_color=color))
    figure.update_layout(xaxis={"title": x}, yaxis={"title": y, "type": "log"})
    return _styled(figure, 380)


def funnel(steps: "Sequence[tuple[str, int]]") -> "go.Figure":
    """How many are left after each step, with their share of the first."""
    import plotly.graph_objects as go

    first = max(steps[0][1], 1)
    labels = [f"{count:,} · {count / first:.1%}" for _, count in steps]
    names, counts = zip(*steps, strict=True)
    figure = go.Figure(go.Bar(x=counts, y=names, text=labels, textposition="auto", orientation="h", marker_color=BLUE))
    figure.update_layout(yaxis={"autorange": "reversed"})
    return _styled(figure, 90 + 34 * len(steps))


def stage_seconds(summary: "Summary") -> "go.Figure":
    """Wall time of every stage."""
    return ranked([(hop.label, hop.seconds) for hop in summary.hops], "seconds")


def ranked(values: Sequence[tuple[str, float]], title: str) -> "go.Figure":
    """One bar to a label, from the top."""
    import plotly.graph_objects as go

    bar = go.Bar(x=[value for _, value in values], y=[label for label, _ in values], orientation="h", marker_color=BLUE)
    figure = go.Figure(bar)
    figure.update_layout(xaxis={"title": title}, yaxis={"autorange": "reversed", "type": "category"})
    return _styled(figure, 90 + 24 * len(values))


def _styled(figure: "go.Figure", height: int) -> "go.Figure":
    figure.update_layout(
        height=height, margin={"l": 10, "r": 20, "t": 50, "b": 40}, template="plotly_white", paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"family": "system-ui, sans-serif", "size": 13, "color": "#7a8594"},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02},
    )  # fmt: skip
    figure.update_xaxes(gridcolor="rgba(130,140,155,.22)", zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor="rgba(130,140,155,.22)", zeroline=False, automargin=True)
    return figure
