"""Charts as self-contained pieces of a page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from stillhouse.reporting.summary import Score, Summary

BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9822b", "#3d9a6b", "#8a94a3"
SERIES = (BLUE, ORANGE, GREEN, GREY)


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
            x=[score.measured.mean for score in shown], y=[f"{score.label} · {score.benchmark}" for score in shown],
            error_x={"type": "data", "symmetric": False, "thickness": 2, "array": above, "arrayminus": below},
            mode="markers", marker={"size": 11, "color": color}, name=f"round {number}",
            hovertemplate="%{y}<br>pass@1 %{x:.3f}<extra></extra>",
        )  # fmt: skip
        figure.add_trace(points)
    rows = len({(score.label, score.benchmark) for score in scores})
    figure.update_layout(yaxis={"autorange": "reversed"})
    figure.update_xaxes(range=[0, 1], title="pass@1 (95 % interval)", tickformat=".0%")
    return _styled(figure, 130 + 46 * rows)


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


def stage_seconds(summary: "Summary") -> "go.Figure":
    """Wall time of every stage."""
    return bars([(hop.label, hop.seconds) for hop in summary.hops], "seconds")


def bars(values: Sequence[tuple[str, float]], title: str) -> "go.Figure":
    """One bar to a label, from the top."""
    import plotly.graph_objects as go

    bar = go.Bar(x=[value for _, value in values], y=[label for label, _ in values], orientation="h", marker_color=BLUE)
    figure = go.Figure(bar)
    figure.update_layout(xaxis={"title": title}, yaxis={"autorange": "reversed", "type": "category"})
    return _styled(figure, 90 + 24 * len(values))


def _styled(figure: "go.Figure", height: int) -> "go.Figure":
    figure.update_layout(
        height=height, margin={"l": 10, "r": 20, "t": 30, "b": 40}, template="plotly_white", paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"family": "system-ui, sans-serif", "size": 13, "color": "#7a8594"},
        legend={"orientation": "h", "y": 1.12},
    )  # fmt: skip
    figure.update_xaxes(gridcolor="rgba(130,140,155,.22)", zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor="rgba(130,140,155,.22)", zeroline=False, automargin=True)
    return figure
