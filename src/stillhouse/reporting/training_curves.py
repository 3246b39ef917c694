"""The curves of a run's trainings, from the ``metrics.jsonl`` beside their weights, thinned to what a chart can show."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from stillhouse.artifacts import manifest as manifests
from stillhouse.reporting import charts
from stillhouse.reporting.summary import Hop, Summary
from stillhouse.training.metrics_file import METRICS

TITLES = {
    "train/loss": "loss", "train/reward": "reward", "train/kl": "KL to the reference", "train/entropy": "entropy",
    "validation/pass_at_1": "pass@1 of validation", "validation/loss": "loss on held-out rows",
    "train/completions/mean_length": "tokens of a rollout", "train/grad_norm": "norm of the gradient",
}  # fmt: skip
"""Metric -> what its chart is called."""
OF_STAGE = {
    "sft": ("train/loss", "validation/pass_at_1", "validation/loss", "train/grad_norm"),
    "rl": ("train/reward", "validation/pass_at_1", "train/kl", "train/entropy", "train/completions/mean_length"),
}  # fmt: skip
"""The metrics that tell how a training of the stage went."""
POINTS = 240
"""Most points of a curve: a chart is not much wider in pixels."""

Curve = Sequence[tuple[float, float]]
"""(step, value), in order."""
Curves = Mapping[str, Mapping[str, Curve]]
"""Checkpoint -> metric -> curve."""


def curves(summary: Summary) -> Curves:
    """The curves of every training in the run that left its numbers beside its weights."""
    found = {hop.label: _of_training(hop, names) for stage, names in OF_STAGE.items() for hop in summary.of_stage(stage)}
    return {label: by_metric for label, by_metric in found.items() if by_metric}


def drawn(found: Curves) -> list[tuple[str, Markup]]:
    """Title and chart of every metric, with a line for each checkpoint that has it."""
    by_metric = {
        title: {label: of_label[name] for label, of_label in found.items() if name in of_label} for name, title in TITLES.items()
    }
    return [(title, charts.curves(series, "step", title)) for title, series in by_metric.items() if series]


def thinned(points: Curve) -> Curve:
    """At most ``POINTS`` points, each the mean of its neighbours."""
    size = -(-len(points) // POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _of_training(hop: Hop, names: Sequence[str]) -> dict[str, Curve]:
    """The curves of these metrics; a step that was repeated after a stop has the value of its last try."""
    if METRICS not in hop.manifest.files:
        return {}
    values: dict[str, dict[float, float]] = {name: {} for name in names}
    for line in _lines(hop.uri):
        for name in names:
            if line.get(name) is not None:
                values[name][float(line["step"])] = float(line[name])
    return {name: thinned(sorted(by_step.items())) for name, by_step in values.items() if len(by_step) > 1}


def _lines(uri: str) -> Iterator[Mapping[str, Any]]:
    data = manifests.read_file(uri, METRICS)
    for line in (data or b"").splitlines():
        yield json.loads(line)
