"""Read artifacts as frames: rows, dropped rows, the outcomes of a report, lineage."""

from pathlib import Path

import polars as pl

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store, tables
from stillhouse.artifacts.manifest import Link, Manifest
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.benchmarks.outcomes import Outcomes, read_outcomes
from stillhouse.errors import BadRows, MissingInput
from stillhouse.exchange import files
from stillhouse.exchange.bad_rows import Bad
from stillhouse.execution.input_links import fetch
from stillhouse.registry.promotion import artifact
from stillhouse.vocabulary.rows import Dropped

OUTCOMES_SCHEMA = {
    "benchmark": pl.String, "protocol": pl.String, "round": pl.Int32, "question_id": pl.String, "sample_index": pl.Int32,
    "passed": pl.Boolean,
}  # fmt: skip
LINEAGE_SCHEMA = {
    "depth": pl.Int32, "input": pl.String, "uri": pl.String, "stage": pl.String, "rows": pl.Int64, "fingerprint": pl.String,
    "seconds": pl.Float64, "commit": pl.String,
}  # fmt: skip


def read(uri: str | Path, *, dropped: bool = False) -> pl.DataFrame:
    """Read an artifact, or one Parquet or JSON Lines file, as a frame.

    Args:
        uri: URI or path of an artifact on disk or S3, or of one file. A report gives one row per verified sample: ``benchmark``,
            ``protocol``, ``round``, ``question_id``, ``sample_index``, ``passed``.
        dropped: Read the rows that the stage dropped, with their reasons, instead of those it passed on.

    Returns:
        The rows in order, with the columns that the config reference lists under Rows.

    Raises:
        MissingInput: Nothing is published there, or the artifact has no rows.
        BadRows: A line of the file is not a JSON object.
        StoreFailed: The store cannot be reached.
    """
    uri = str(uri)
    if files.format_of_name(uri):
        return _file(uri)
    uri = artifact(uri)
    manifest = manifests.load(store.absolute(uri))
    if manifest.stage == "report" and not dropped:
        return _outcomes(read_outcomes(uri))
    with scratch_directory() as scratch:
        directory = fetch("artifact", Link(uri=store.absolute(uri), fingerprint=manifest.fingerprint), scratch)
        if dropped:
            paths = sorted(path for path in directory.rglob("*.parquet") if "dropped" in path.relative_to(directory).parts)
            return pl.read_parquet(paths) if paths else pl.DataFrame(Dropped.SCHEMA.empty_table())
        return _rows(uri, manifest, directory)


def lineage(uri: str | Path) -> pl.DataFrame:
    """List everything an artifact was made from, back to the source rows.

    Args:
        uri: URI of an artifact, or ``models:/NAME@champion``.

    Returns:
        One row per artifact, depth first: ``depth``, ``input`` (its name there), ``uri``, ``stage``, ``rows``,
        ``fingerprint``, ``seconds`` and ``commit``; null from ``stage`` on if it is gone from the store.

    Raises:
        MissingInput: Nothing is published at ``uri``.
    """
    uri = store.absolute(artifact(str(uri)))
    manifests.load(uri)
    rows = [(depth, name or None, link, *_facts(manifest)) for depth, name, link, manifest in manifests.lineage(uri)]
    return pl.DataFrame(rows, LINEAGE_SCHEMA, orient="row")


def _facts(manifest: Manifest | None) -> tuple[object, ...]:
    if manifest is None:
        return (None,) * 5
    return manifest.stage, manifest.rows, manifest.fingerprint, manifest.seconds, manifest.provenance.commit


def _file(uri: str) -> pl.DataFrame:
    with files.local(uri) as path:
        if path.suffix == files.PARQUET:
            return pl.read_parquet(path)
        rows = [row for _, row in files.objects(path)]
        if bad := next((row for row in rows if isinstance(row, Bad)), None):
            msg = f"{uri}: {bad.reason}: {bad.detail}; correct the file"
            raise BadRows(msg)
        return pl.DataFrame(rows, infer_schema_length=None)


def _rows(uri: str, manifest: Manifest, directory: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(tables.parts(directory))
    except MissingInput as error:
        msg = f"{uri} is a {manifest.stage} artifact and has no rows; its files: {', '.join(sorted(manifest.files)[:5])}"
        raise MissingInput(msg) from error


def _outcomes(outcomes: Outcomes) -> pl.DataFrame:
    """One row per verified sample of a report."""
    rows = [
        (benchmark, outcome.protocol, number, question_id, index, passed)
        for benchmark, outcome in outcomes.benchmarks.items()
        for number, round_outcome in outcome.rounds.items()
        for question_id, samples in round_outcome.passed.items()
        for index, passed in enumerate(samples)
    ]
    return pl.DataFrame(rows, OUTCOMES_SCHEMA, orient="row")
