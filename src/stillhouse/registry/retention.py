"""Retention: which versions of a store and which runs of MLflow nothing needs any more, and removing them."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stillhouse.artifacts import pruning, store
from stillhouse.artifacts.manifest import Manifest
from stillhouse.artifacts.pruning import PrunePlan
from stillhouse.execution import mlflow_models
from stillhouse.vocabulary import environment

DAY_MS = 86_400_000
TAGS = ("checkpoint", "report")
"""The tags of a registered version that name artifacts."""


@dataclass(frozen=True)
class Retention:
    """What is kept, what may go, and what went."""

    plan: PrunePlan
    removed: list[str]
    """The versions that were removed; none in a dry run."""
    n_runs: int | None
    """Runs of MLflow that are older than the limit and that nothing names; None if they were not asked for."""
    is_dry: bool
    """Whether nothing was to be removed."""


def prune(
    root: str, last: int, runs_older_than_days: float | None, pinned: Iterable[str], unpinned: Iterable[str], *, delete: bool
) -> Retention:
    """Find what nothing needs and, with ``delete``, remove it. Without an MLflow server no model counts as registered.

    Raises MissingInput if the root, or the place of a new pin, holds no artifact; TrackingFailed if the server does not answer:
    then nothing is removed.
    """
    for uri in pinned:
        pruning.pin(uri)
    for uri in unpinned:
        pruning.pin(uri, remove=True)
    has_server = bool(environment.text("MLFLOW_TRACKING_URI"))
    versions = mlflow_models.versions() if has_server else []
    registered = {
        store.absolute(tags[name]): f"registered as {model} version {version}"
        for model, version, tags, _ in versions for name in TAGS if tags.get(name, "").startswith(("file://", "s3://"))
    }  # fmt: skip
    plan = pruning.plan(root, last, registered)
    removed = pruning.remove(root, plan.removable) if delete else []
    n_runs = None
    if has_server and runs_older_than_days is not None:
        limit = int(time.time() * 1000 - runs_older_than_days * DAY_MS)
        named = {run_id for *_, run_id in versions if run_id} | set(_run_ids(plan.manifests, set(removed)))
        n_runs = mlflow_models.delete_runs(limit, named, dry_run=not delete)
    return Retention(plan, removed, n_runs, is_dry=not delete)


def _run_ids(manifests: Mapping[str, Manifest], removed: set[str]) -> list[str]:
    """The runs that made the versions that are left."""
    left = [manifest for uri, manifest in manifests.items() if uri not in removed]
    return [manifest.provenance.mlflow_run_id for manifest in left if manifest.provenance.mlflow_run_id]
