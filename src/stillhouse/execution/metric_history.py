"""The curves of a finished run, from MLflow, thinned to what a chart can show."""

from collections.abc import Sequence

from stillhouse.execution.mlflow_runs import Away, Refused, client, errors_by_kind

POINTS = 240
"""Most points of a curve: a chart is not much wider in pixels."""

Curve = list[tuple[float, float]]
"""(step, value), in order."""


def curves(run_id: str, names: Sequence[str]) -> dict[str, Curve]:
    """The metrics of these names that the run logged by step; none if the server is away or no longer has the run."""
    found: dict[str, Curve] = {}
    try:
        with errors_by_kind():
            for name in names:
                points = sorted({(point.step, point.value) for point in client().get_metric_history(run_id, name)})
                if len(points) > 1:
                    found[name] = thinned([(float(step), float(value)) for step, value in points])
    except (Away, Refused):
        return found
    return found


def thinned(points: Curve) -> Curve:
    """At most ``POINTS`` points, each the mean of its neighbours."""
    size = -(-len(points) // POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
