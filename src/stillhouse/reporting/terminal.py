"""Artifacts -> text on a terminal."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Manifest
from stillhouse.artifacts.pruning import own_bytes
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import DamagedArtifact
from stillhouse.registry.retention import Retention


def show(console: Console, uri: str, n_rows: int, *, dropped: bool = False) -> None:
    """Print an artifact's manifest in short, then its first ``n_rows`` rows, or dropped rows, as JSON lines.

    Raises MissingInput if nothing is published at ``uri`` or a file that the manifest lists is gone.
    """
    uri = store.absolute(uri)
    manifest = manifests.load(uri)
    for line in _facts(uri, manifest):
        console.print(line, markup=False)
    for row in islice(_rows(uri, manifest, dropped=dropped), n_rows):
        console.print(json.dumps(row, ensure_ascii=False, default=str), markup=False)


def print_pruned(console: Console, retention: Retention) -> None:
    """Print what was removed, or would be, and how much that is."""
    plan, gone = retention.plan, set(retention.removed)
    for uri, manifest in sorted(plan.removable.items()):
        verb = "would remove" if retention.is_dry else "removed" if uri in gone else "kept, as another run points to it now,"
        console.print(f"{verb} {uri} · {own_bytes(manifest):,} bytes")
    for uri in plan.unreadable:
        console.print(f"left alone, as its manifest is damaged: {uri}")
    counted = list(plan.removable) if retention.is_dry else retention.removed
    size = sum(own_bytes(plan.removable[uri]) for uri in counted)
    kept = len(plan.manifests) - len(counted)
    console.print(f"{len(counted):,} versions {'would go' if retention.is_dry else 'removed'} ({size:,} bytes), {kept:,} kept")
    if retention.n_runs is not None:
        verb = "would go" if retention.is_dry else "deleted"
        console.print(f"{retention.n_runs:,} runs of MLflow {verb}; `mlflow gc` frees their files")
    if counted and retention.is_dry:
        console.print("nothing was touched; add --delete to remove them")


def _facts(uri: str, manifest: Manifest) -> Iterator[str]:
    size = sum(file.bytes for file in manifest.files.values())
    when = f"{manifest.provenance.finished:%Y-%m-%d %H:%M} UTC in {manifest.seconds:.1f} s"
    yield f"{manifest.stage} {uri}"
    yield f"  fingerprint {manifest.fingerprint} · made {when}"
    yield f"  rows {manifest.rows:,} · files {len(manifest.files):,} · {size:,} bytes"
    if manifest.shards:
        yield f"  assembled from {len(manifest.shards)} shards"
    if manifest.dropped:
        yield f"  dropped {', '.join(f'{reason} {count:,}' for reason, count in sorted(manifest.dropped.items()))}"
    for name, links in manifest.inputs.items():
        for link in links:
            yield f"  input {name} {link.uri} · {link.fingerprint}"
    for line in _models(manifest):
        yield f"  model {line}"
    yield f"  config {json.dumps(manifest.config, ensure_ascii=False)}"
    for name, value in manifest.metrics.items():
        yield f"  {name} {number(value)}"


def print_result(console: Console, stage: str, manifest: Manifest, *, skipped: bool) -> None:
    """Print what a stage made, or found already made, with its metrics."""
    since = f"nothing new since {manifest.same_as}, skipped" if manifest.same_as else "unchanged, skipped"
    verb = since if skipped else f"done in {manifest.seconds:.1f} s"
    console.print(f"{stage} {verb}: {manifest.rows:,} rows, {sum(manifest.dropped.values()):,} dropped · {manifest.fingerprint}")
    for metric, value in manifest.metrics.items():
        console.print(f"  {metric} {number(value)}")


def print_lineage(console: Console, uri: str) -> None:
    """Print everything an artifact was made of, and the models that were used, indented by depth.

    Raises MissingInput if nothing is published at ``uri``.
    """
    uri = store.absolute(uri)
    manifests.load(uri)
    seen: set[str] = set()
    for depth, name, link, manifest in manifests.lineage(uri):
        label = f"{name} ← " if name else ""
        facts = f"{manifest.rows:,} rows · {manifest.fingerprint}" if manifest else "gone from the store"
        same = f" · the files of {manifest.same_as}" if manifest and manifest.same_as else ""
        again = " (above)" if link in seen else ""
        console.print(f"{'  ' * depth}{label}{link} · {facts}{same}{again}", style=None if manifest else "red")
        for line in _models(manifest) if manifest and link not in seen else ():
            console.print(f"{'  ' * (depth + 1)}{line}")
        seen.add(link)


def _models(manifest: Manifest) -> Iterator[str]:
    """The models that are no artifacts, each with what it is pinned to and how it was named."""
    for name, link in manifest.models.items():
        named = f" · named {link.named}" if link.named != link.uri and link.kind in {"hub", "registry", "adapter"} else ""
        yield f"{name} ← {link.uri} · {link.kind} · {link.fingerprint}{named}"


def print_checked(console: Console, uri: str, *, deep: bool) -> None:
    """Print of an artifact, and with ``deep`` of its whole lineage, whether it is sound. Raises DamagedArtifact if one is not."""
    damaged = 0
    for artifact, problem in integrity.problems(uri, deep=deep):
        damaged += problem is not None
        console.print(f"{artifact}: {problem or 'sound'}", markup=False, style="red" if problem else None)
    if damaged:
        msg = f"{damaged} artifacts are damaged; restore their files, or make them again under another version"
        raise DamagedArtifact(msg)


def print_imported(console: Console, imported: Mapping[str, Manifest], output: str) -> None:
    """Print what an import made, what it left out, and what it dropped."""
    for name, manifest in imported.items():
        console.print(f"{name}: {manifest.rows:,} rows at {output.replace('{stage}', name)} · {manifest.fingerprint}")
        for metric, value in manifest.metrics.items():
            kind, _, column = metric.partition("/")
            if kind == "n_ignored":
                console.print(f"  no such column, left out: {column} ({value:,.0f} rows)")
        for reason, count in manifest.dropped.items():
            console.print(f"  dropped {reason} {count:,}")


def number(value: float) -> str:
    """A metric in text: whole numbers, such as counts, to the last digit, others to six."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}"


def _rows(uri: str, manifest: Manifest, *, dropped: bool) -> Iterator[dict[str, Any]]:
    """The rows in order, file by file, so that only files whose rows are shown are fetched."""
    for name in sorted(manifest.files):
        if not Path(name).match("part-*.parquet") or ("dropped" in Path(name).parts) != dropped:
            continue
        with scratch_directory() as scratch:
            file = pq.ParquetFile(integrity.fetch(uri, scratch, [name]) / name, page_checksum_verification=True)
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
