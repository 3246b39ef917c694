"""``stillhouse view`` on 40 million verdicts: seconds of pages and of a row, and their ratio to bare polars.

``STILLHOUSE_BENCH_ROWS`` sets the number of verdicts. The parts are links to a few files with rows of real lengths: a page reads a
few parts, wherever they lie. Bare polars reads the first 50 rows of the same three tables, and does not join them.
"""

import os
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.artifacts.manifest import File, Link, Manifest, provenance
from stillhouse.browsing.library import opened
from stillhouse.browsing.listing import PAGE_ROWS, RowFilters, list_page
from stillhouse.browsing.row_view import row_view
from stillhouse.vocabulary.rows import Graded, Question, Response, Verified
from tests.perf.measure import measured, table

ROWS = int(os.environ.get("STILLHOUSE_BENCH_ROWS", 40_000_000))
PART_QUESTIONS, SAMPLES, MODELS = 6250, 4, 3
"""A part holds the 25,000 samples of 6,250 questions, with 2,000 characters each: 50 MB of text."""
TEXT = "<think>" + "so 12 + 30 = 42, and then " * 77 + "</think><answer>42</answer>"


def generate(root: Path, n_rows: int) -> None:
    """Three models' answers in one artifact, one model after the other; questions, their grades, and the verdicts."""
    questions = [testing.question(f"What is {number} + 7? " * 12, str(number + 7)) for number in range(PART_QUESTIONS)]
    responses = [testing.response(question, sample_index=sample) for question in questions for sample in range(SAMPLES)]
    parts = n_rows // (PART_QUESTIONS * SAMPLES)
    made = {
        "questions": (Question, questions, max(parts // MODELS, 1)),
        "graded": (
            Graded,
            [testing.graded(question, level=1 + number % 3) for number, question in enumerate(questions)],
            max(parts // MODELS, 1),
        ),
        "responses": (Response, [replace(row, text=f"{row.question_id} {TEXT}", think=TEXT) for row in responses], parts),
        "verified": (Verified, [testing.verified(row, passed=number % 3 > 0) for number, row in enumerate(responses)], parts),
    }
    for stage, (row_type, rows, n_parts) in made.items():
        directory = root / stage / "big" / "1"
        first = directory / "part-00000.parquet"
        tables.write_part(first, rows, row_type)
        for number in range(1, n_parts):
            os.link(first, directory / f"part-{number:05d}.parquet")
        publish(root, stage, {f"part-{number:05d}.parquet": len(rows) for number in range(n_parts)})


def publish(root: Path, stage: str, files: dict[str, int]) -> None:
    made_of = {"verified": ("questions", "responses"), "graded": ("questions", "verified"), "responses": ("questions",)}.get(
        stage, ()
    )
    manifest = Manifest(
        stage=stage, version="1", fingerprint="0" * 16, config={},
        inputs={name: [Link(uri=(root / name / "big" / "1").as_uri(), fingerprint="0" * 16)] for name in made_of},
        files={name: File(sha256="0", bytes=1, rows=rows) for name, rows in files.items()}, metrics={},
        provenance=provenance(datetime.now(UTC), None),
    )  # fmt: skip
    manifests.publish((root / stage / "big" / "1").as_uri(), manifest)


def bare(root: Path) -> None:
    """What no view can do without: 50 rows of each table."""
    for stage in ("verified", "responses", "questions"):
        pl.scan_parquet(root / stage / "big" / "1" / "part-00000.parquet").head(50).collect()


def view(given: tuple[Path, dict[str, str], float]) -> tuple[Any, RowFilters, int]:
    """The view, opened, with filters and the number of the row to begin at; the modules are loaded too."""
    root, filters, share = given
    library = opened([str(root / "verified" / "big" / "1"), str(root / "graded" / "big" / "1")])
    return library, RowFilters(**filters), int(share * library.listed.n_rows)


def page(prepared: tuple[Any, RowFilters, int]) -> None:
    """One page, which is full."""
    library, filters, at = prepared
    found = list_page(library, filters, at)
    assert len(found.rows) == PAGE_ROWS
    assert all(row["question"] and row["text"] for row in found.rows)


def row(prepared: tuple[Any, RowFilters, int]) -> None:
    """One row with the other answers to its question."""
    library, _, at = prepared
    found = row_view(library, at)
    assert found.response["text"]
    assert len(found.answers) >= SAMPLES


def opened_and_page(given: tuple[Path, dict[str, str], float]) -> None:
    """What the first request waits for: the manifests, and a page."""
    page(view(given))


def main() -> None:
    """Print the table."""
    root = Path(tempfile.mkdtemp(prefix="bench-view-"))
    try:
        generate(root, ROWS)
        base = measured(bare, root)
        pages = {
            "first page": ({}, 0.0), "page in the middle": ({}, 0.6), "verdict wrong": ({"kind": "wrong"}, 0.0),
            "level 2, from the middle": ({"level": "2"}, 0.6),
            "three filters": ({"category": "math", "model": "toy", "kind": "correct"}, 0.0),
            "text of one response": ({"text": "12 + 30"}, 0.3),
        }  # fmt: skip
        results = {"opening, and the first page": measured(opened_and_page, (root, {}, 0.0))}
        results |= {name: measured(page, (root, *given), view) for name, given in pages.items()}
        results["one row with other answers"] = measured(row, (root, {}, 0.6), view)
        lines = [
            (name, made.seconds, made.seconds / base.seconds, made.peak) for name, made in {"bare polars": base, **results}.items()
        ]
        table([f"{ROWS:,} rows", "seconds", "ratio to bare polars", "peak GiB"], lines)
    finally:
        shutil.rmtree(root)
