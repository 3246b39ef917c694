"""The page of one training: its curves, what validation measured, and the last step's numbers and rollouts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.reporting import charts
from stillhouse.reporting.rendering import write_page
from stillhouse.reporting.training_curves import Curve, thinned
from stillhouse.vocabulary.text import excerpt

PAGE = "training.html"
CURVES = {
    "Validation: pass@1": {"pass@1": "validation/pass_at_1", "low": "validation/low", "high": "validation/high"},
    "Loss": {"training": "train/loss", "held-out rows": "validation/loss"},
    "Reward": {"reward": "train/reward"},
    "Tokens of a rollout": {"mean": "train/completions/mean_length"},
    "Tokens per second": {"tokens/s": "train/tokens_per_s"},
    "Shares of a step's time": {
        part: f"train/time/{part}" for part in ("update", "rollout", "sync", "verify", "waiting")
    },
}  # fmt: skip
"""Title -> series -> metric."""
TEXT_CHARS = 3000
"""Longest text of a rollout on the page."""


def write_training(output: Path, lines: Sequence[Mapping[str, Any]], last_step: str | None = None) -> str:
    """Write the page; ``lines``: those of ``metrics.jsonl``; ``last_step``: the file of its rollouts. Returns the page's name."""
    curves = {title: _points(lines, series) for title, series in CURVES.items()}
    steps = [line for line in lines if "train/loss" in line]
    measured = [line for line in lines if any(name.startswith("validation/") for name in line)]
    last = {name: value for name, value in sorted(steps[-1].items()) if isinstance(value, float)} if steps else {}
    write_page(
        output / PAGE, "training.html.j2", title="Training", n_steps=len(steps), last=last, measured=measured,
        columns=sorted({name for line in measured for name in line if name.startswith("validation/")}),
        curves={title: charts.curves(points, "step", title) for title, points in curves.items() if points}, number=charts.number,
        rollouts=_rollouts(output / last_step) if last_step else [],
    )  # fmt: skip
    return PAGE


def _points(lines: Sequence[Mapping[str, Any]], series: Mapping[str, str]) -> dict[str, Curve]:
    """The points of each series that has any, thinned."""
    points = {
        name: [(float(line["step"]), float(line[metric])) for line in lines if line.get(metric) is not None]
        for name, metric in series.items()
    }
    return {name: thinned(own) for name, own in points.items() if own}


def _rollouts(path: Path) -> list[dict[str, Any]]:
    """The rollouts of a table as MLflow shows it, their texts cut to ``TEXT_CHARS``."""
    table = json.loads(path.read_text(encoding="utf-8"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    return [row | {name: excerpt(row[name], TEXT_CHARS) for name in ("question", "text")} for row in rows]
