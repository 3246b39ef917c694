"""The page of one curation: the funnel by rule, the questions' composition, and the pairs that benchmarks kept out."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stillhouse.curation.funnel import ordered
from stillhouse.reporting import charts
from stillhouse.reporting.rendering import write_page

PAGE = "curation.html"
PAIRS_SHOWN = 200
"""Pairs on the page; the table beside it has all of them."""


def write_curation(output: Path, metrics: Mapping[str, float], dropped: Mapping[str, int], pairs: Sequence[Path]) -> str:
    """Write the page from the stage's counts and the tables of matched pairs; returns the file's name."""
    funnel = _funnel(metrics, dropped)
    counted = [("Questions left after each rule", funnel), *_composition(metrics), ("Tokens, up to", _lengths(metrics))]
    shown = [(title, charts.ranked(list(counts.items()), "questions")) for title, counts in counted if counts]
    write_page(
        output / PAGE, "curation.html.j2", title="Questions", n_read=int(metrics["n_read"]), n_kept=int(metrics.get("n_kept", 0)),
        dropped={reason: dropped[reason] for reason in ordered(dropped) if dropped.get(reason)}, charts=shown,
        pairs=list(islice(_pairs(pairs), PAIRS_SHOWN)), n_pairs=sum(pq.read_metadata(path).num_rows for path in pairs),
    )  # fmt: skip
    return PAGE


def _funnel(metrics: Mapping[str, float], dropped: Mapping[str, int]) -> dict[str, float]:
    """Questions left after each rule that dropped some."""
    left = {reason: metrics[f"n_left/{reason}"] for reason in ordered(dropped) if dropped.get(reason)}
    return {"read": metrics["n_read"], **left}


def _composition(metrics: Mapping[str, float]) -> Iterator[tuple[str, dict[str, float]]]:
    for name, title in (("category", "Category"), ("kept", "Source"), ("language", "Language"), ("difficulty", "Difficulty")):
        counts = {key.partition("/")[2]: value for key, value in metrics.items() if key.startswith(f"n_{name}/") and value}
        yield title, dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _lengths(metrics: Mapping[str, float]) -> dict[str, float]:
    prefix = "n_length/le_"
    return {str(int(key.removeprefix(prefix))): value for key, value in sorted(metrics.items()) if key.startswith(prefix)}


def _pairs(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        for batch in pq.ParquetFile(path, page_checksum_verification=True).iter_batches(batch_size=PAIRS_SHOWN):
            yield from batch.to_pylist()
