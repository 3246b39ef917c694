"""Inline SVG for pages: scales, axes and marks. No script and no library; the page's style sheet gives the colours, light or dark.

Lengths are in the SVG's own units: a chart is ``WIDTH`` units wide and scales with the page. A mark's ``<title>`` is its tooltip.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 860.0
CHARACTER = 7.5
"""Width of a character of text, about."""
LABEL_CHARS = 44
"""Longest label on an axis; the middle of a longer one is left out."""
SERIES_COLORS = 6

Format = Callable[[float], str]


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` -> positions from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The position of a value; values beyond the ends are drawn at the ends."""
        low, high = self._transformed(self.low), self._transformed(self.high)
        share = (self._transformed(value) - low) / ((high - low) or 1.0)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _transformed(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.logarithmic else value

    @property
    def ticks(self) -> list[float]:
        """Round values between the ends: four to ten of them, or the powers of ten of a logarithmic scale."""
        if self.logarithmic:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers]
        step = nice_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


def nice_step(rough: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def rounded_up(value: float) -> float:
    """The end of an axis that begins at 0 and has to hold ``value``."""
    step = nice_step(value / 5)
    return max(math.ceil(value / step - 1e-9), 1) * step


def color(series: int) -> str:
    """The class of a series' colour."""
    return f"c{series % SERIES_COLORS}"


def shortened(label: str) -> str:
    """The label without its middle, if it is too long for an axis."""
    half = LABEL_CHARS // 2
    return label if len(label) <= LABEL_CHARS else f"{label[:half]}…{label[1 - half :]}"


def text_width(labels: Iterable[str]) -> float:
    """Room for the longest of the labels."""
    return max((len(shortened(label)) for label in labels), default=0) * CHARACTER


def text(x: float, y: float, label: str, anchor: str = "middle", kind: str = "") -> Markup:
    """A label; one that is shortened has the whole as its tooltip."""
    short = shortened(label)
    tooltip = Markup("<title>{}</title>").format(label) if short != label else ""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}{}</text>').format(
        x, y, anchor, Markup(' class="{}"').format(kind) if kind else "", short, tooltip
    )


def tilted(x: float, y: float, label: str) -> Markup:
    """A label that ends at a point, coming from the lower left."""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="end" transform="rotate(-35 {:.1f} {:.1f})">{}</text>').format(
        x, y, x, y, shortened(label)
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line; ``kind`` is its class."""
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>').format(x1, y1, x2, y2, kind)


def bar(x: float, y: float, width: float, height: float, series: int, tooltip: str) -> Markup:
    """A filled rectangle."""
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}"><title>{}</title></rect>').format(
        x, y, max(width, 0.0), max(height, 0.0), color(series), tooltip
    )


def dot(x: float, y: float, series: int, tooltip: str, radius: float = 5.0) -> Markup:
    """A point."""
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:g}" class="{}"><title>{}</title></circle>').format(
        x, y, radius, color(series), tooltip
    )


def path(points: Sequence[tuple[float, float]], series: int) -> Markup:
    """A line through points."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline points="{}" class="line {}"/>').format(corners, color(series))


def figure(height: float, name: str, marks: Iterable[Markup], legend: Sequence[str] = ()) -> Markup:
    """The chart as a piece of a page. ``name`` says to a screen reader what it shows; ``legend`` names the series, in order."""
    names = Markup("").join(
        Markup('<span><i class="{}"></i>{}</span>').format(color(index), series) for index, series in enumerate(legend)
    )
    key = Markup('<figcaption class="legend">{}</figcaption>').format(names) if legend else Markup("")
    drawing = Markup('<svg viewBox="0 0 {:g} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, name, Markup("").join(marks)
    )
    return Markup('<figure class="chart">{}<div class="scroll">{}</div></figure>').format(key, drawing)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """The numbers of a chart, folded away below it; the first column is a label."""
    cells = [
        Markup("<tr><td>{}</td>{}</tr>").format(row[0], Markup("").join(Markup('<td class="n">{}</td>').format(x) for x in row[1:]))
        for row in rows
    ]
    titles = Markup("").join(Markup('<th class="n">{}</th>').format(title) for title in head[1:])
    body = Markup("<table><tr><th>{}</th>{}</tr>{}</table>").format(head[0], titles, Markup("\n").join(cells))
    return Markup('<details class="numbers"><summary>as a table</summary><div class="scroll">{}</div></details>').format(body)
