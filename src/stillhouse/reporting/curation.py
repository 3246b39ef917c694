"""The page of one curation: the funnel by rule, the questions' composition, and the pairs that benchmarks kept out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stillhouse.curation.funnel import KeptCounts, ordered, questions_left
from stillhouse.reporting import charts
from stillhouse.reporting.rendering import write_page

PAGE = "curation.html"
PAIRS_SHOWN = 200
"""Pairs on the page; the table beside it has all of them."""


def write_curation(
    output: Path, n_read: int, kept: KeptCounts, dropped: Mapping[str, int], pairs: Sequence[Path], off: Collection[str] = ()
) -> str:  # fmt: skip
    """Write the page from the stage's counts and the tables of matched pairs; returns its name. ``off``: rules that did not run."""
    counted = [("Questions left after each rule", _funnel(n_read, dropped)), *_composition(kept), ("Tokens, up to", _lengths(kept))]
    shown = [(title, charts.ranked(list(counts.items()), "questions")) for title, counts in counted if counts]
    write_page(
        output / PAGE, "curation.html.j2", title="Questions", n_read=n_read, n_kept=kept.n_kept,
        rules={reason: None if reason in off else dropped.get(reason, 0) for reason in ordered(dropped)}, charts=shown,
        pairs=list(islice(_pairs(pairs), PAIRS_SHOWN)), n_pairs=sum(pq.read_metadata(path).num_rows for path in pairs),
    )  # fmt: skip
    return PAGE


def _funnel(n_read: int, dropped: Mapping[str, int]) -> dict[str, float]:
    """Questions left after each rule that dropped some."""
    return {"read": n_read, **{rule: left for rule, left in questions_left(n_read, dropped).items() if dropped.get(rule)}}


def _composition(kept: KeptCounts) -> Iterator[tuple[str, dict[str, float]]]:
    for name, title in (("category", "Category"), ("kept", "Source"), ("language", "Language"), ("difficulty", "Difficulty")):
        yield title, dict(sorted(kept.by_column[name].items(), key=lambda item: (-item[1], item[0])))


def _lengths(kept: KeptCounts) -> dict[str, float]:
    return {str(bucket): count for bucket, count in sorted(kept.by_length.items())}


def _pairs(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        for batch in pq.ParquetFile(path, page_checksum_verification=True).iter_batches(batch_size=PAIRS_SHOWN):
            yield from batch.to_pylist()
