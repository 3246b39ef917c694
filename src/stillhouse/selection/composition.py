"""Examples -> counts: what a set of training examples consists of, counted while it is written."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from stillhouse.artifacts import frames
from stillhouse.selection.examples import LENGTH, MISSING

if TYPE_CHECKING:
    import polars as pl

NO_TEXT = {"full": "no_text", "answer": "no_answer", "summary": "no_summary", "original": "no_original"}
"""Why a chosen response makes no example, by mode."""


class Composition:
    """Counts of the examples that went by, and which of the chosen had no text to train on."""

    def __init__(self) -> None:
        self._counts: list[pl.DataFrame] = []
        self._used: list[pl.Series] = []
        self._missing: list[pl.DataFrame] = []

    def counted(self, batches: "Iterable[pl.DataFrame]") -> "Iterator[pl.DataFrame]":
        """Pass the examples on, without those that have no text."""
        import polars as pl

        length_bin = pl.when(pl.col(LENGTH) > 0).then(pl.col(LENGTH).log(2).floor().cast(pl.Int32))
        for batch in batches:
            self._missing.append(batch.filter(pl.col(MISSING)).select("key", "mode"))
            made = batch.filter(~pl.col(MISSING))
            self._used.append(made["question"])
            self._counts.append(
                made.group_by("split", "category", length_bin=length_bin).agg(n_examples=pl.len(), length=pl.col(LENGTH).sum())
            )
            yield made

    def table(self) -> "pl.DataFrame":
        """Columns split, category, n_examples, length; splits as they were written, in each the largest category first."""
        import polars as pl

        order = {split: place for place, split in enumerate(self.by_split())}
        return self._summed("split", "category").sort(
            pl.col("split").replace_strict(order, return_dtype=pl.Int64), pl.col("n_examples").cast(pl.Int64) * -1, "category"
        )

    def lengths(self) -> "pl.DataFrame":
        """Columns split, length_bin, n_examples: examples with a reply by the floor of its length's binary logarithm."""
        return self._summed("split", "length_bin").drop_nulls().select("split", "length_bin", "n_examples")

    def by_split(self) -> dict[str, int]:
        """Examples by split."""
        return dict(self._summed("split").select("split", "n_examples").iter_rows())

    def _summed(self, *by: str) -> "pl.DataFrame":
        import polars as pl

        return pl.concat(self._counts).group_by(by, maintain_order=True).agg(pl.col("n_examples", "length").sum())

    @property
    def used(self) -> "pl.Series":
        """The places of the questions that have an example."""
        import polars as pl

        return pl.concat(self._used).unique()

    def missing(self) -> "pl.DataFrame":
        """The records of chosen responses without a text."""
        import polars as pl

        records = pl.concat(self._missing).unique("key", keep="first", maintain_order=True)
        return frames.dropped(records, pl.col("mode").replace_strict(NO_TEXT, return_dtype=pl.String), "key")
