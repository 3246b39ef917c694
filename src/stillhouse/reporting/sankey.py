"""Flows between columns of nodes as bands, as inline SVG: what became of the rows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stillhouse.reporting import svg
from stillhouse.reporting.svg import WIDTH

NODE_WIDTH, GAP, HEIGHT, TOP = 12.0, 20.0, 300.0, 12.0
LABEL = 150.0
"""Room to the right of the last column for its labels."""
THINNEST = 1.0
"""A band is never thinner: a reason with one row among millions is still seen."""


@dataclass(frozen=True)
class Node:
    """A place where rows are counted. ``lost``: its rows go no further, as they were dropped."""

    column: int
    label: str
    lost: bool = False


@dataclass(frozen=True)
class Flow:
    """Rows that went from one node to another."""

    source: Node
    target: Node
    rows: float


@dataclass
class _Box:
    rows: float
    y: float
    height: float
    arriving: float
    """Where the next band that arrives is drawn."""
    leaving: float
    """Where the next band that leaves is drawn."""


def sankey(flows: Sequence[Flow], name: str) -> Markup:
    """The chart; empty without a row. ``name`` says to a screen reader what it shows."""
    shown = [flow for flow in flows if flow.rows > 0]
    if not shown:
        return Markup("")
    boxes = _boxes(shown)
    step = (WIDTH - LABEL - NODE_WIDTH) / max(node.column for node in boxes)
    height = max(box.y + box.height for box in boxes.values()) + TOP
    return svg.figure(height, name, [*_bands(shown, boxes, step), *_drawn(boxes, step)])


def _boxes(flows: Sequence[Flow]) -> dict[Node, _Box]:
    """Every node's rows and place, in the order in which the nodes first come."""
    arriving, leaving = Counter[Node](), Counter[Node]()
    for flow in flows:
        leaving[flow.source] += flow.rows  # type: ignore[assignment]
        arriving[flow.target] += flow.rows  # type: ignore[assignment]
    nodes = dict.fromkeys(node for flow in flows for node in (flow.source, flow.target))
    rows = {node: max(arriving[node], leaving[node]) for node in nodes}
    columns = [sum(rows[node] for node in nodes if node.column == column) for column in {node.column for node in nodes}]
    scale, ends, boxes = HEIGHT / max(columns), dict[int, float](), dict[Node, _Box]()
    for node in nodes:
        y, height = ends.get(node.column, TOP), max(rows[node] * scale, THINNEST)
        boxes[node] = _Box(rows[node], y, height, y, y)
        ends[node.column] = y + height + GAP
    return boxes


def _bands(flows: Sequence[Flow], boxes: Mapping[Node, _Box], step: float) -> Iterator[Markup]:
    for flow in flows:
        source, target = boxes[flow.source], boxes[flow.target]
        thick = max(flow.rows / source.rows * source.height, THINNEST)
        start, end = flow.source.column * step + NODE_WIDTH, flow.target.column * step
        middle, y1, y2 = (start + end) / 2, source.leaving + thick / 2, target.arriving + thick / 2
        source.leaving, target.arriving = source.leaving + thick, target.arriving + thick
        yield Markup(
            '<path d="M{:.1f},{:.1f} C{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}" stroke-width="{:.1f}" class="band {}">'
            "<title>{} → {}: {:,.0f}</title></path>"
        ).format(
            start, y1, middle, y1, middle, y2, end, y2, thick, "lost" if flow.target.lost else "kept", flow.source.label,
            flow.target.label, flow.rows,
        )  # fmt: skip


def _drawn(boxes: Mapping[Node, _Box], step: float) -> Iterator[Markup]:
    for node, box in boxes.items():
        x, color = node.column * step, 3 if node.lost else 0
        yield svg.bar(x, box.y, NODE_WIDTH, box.height, color, f"{node.label}: {box.rows:,.0f}")
        yield svg.text(x + NODE_WIDTH + 6, box.y + box.height / 2 + 4, f"{node.label} {box.rows:,.0f}", "start")
