"""Examples -> counts: the composition of a set of training examples, counted while it is written."""

from collections.abc import Iterable, Iterator

import polars as pl

from stillhouse.artifacts import frames
from stillhouse.selection.examples import LENGTH, MISSING
from stillhouse.vocabulary.rows import Mode

NO_TEXT: dict[Mode, str] = {"full": "no_text", "answer": "no_answer", "summary": "no_summary", "original": "no_original"}
"""Why a chosen response became no example, by mode."""
COUNTED = {
    "split": pl.String, "category": pl.String, "length_bin": pl.Int32, "n_examples": pl.get_index_type(), "length": pl.Int64,
}  # fmt: skip


class Composition:
    """Counts of the examples that passed through, and the chosen responses without a text to train on."""

    def __init__(self) -> None:
        # Begun with empty frames: a shard may have no example.
        self._counts = [pl.DataFrame(schema=COUNTED)]
        self._used = [pl.Series("question", dtype=pl.UInt32)]
        self._missing = [pl.DataFrame(schema={"key": pl.String, "mode": pl.String})]

    def counted(self, batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Pass the examples on, without those that have no text."""
        length_bin = pl.when(pl.col(LENGTH) > 0).then(pl.col(LENGTH).log(2).floor().cast(pl.Int32))
        for batch in batches:
            self._missing.append(batch.filter(pl.col(MISSING)).select("key", "mode"))
            examples = batch.filter(~pl.col(MISSING))
            self._used.append(examples["question"].cast(pl.UInt32))
            by_bin = examples.group_by("split", "category", length_bin=length_bin)
            self._counts.append(by_bin.agg(n_examples=pl.len(), length=pl.col(LENGTH).sum()))
            yield examples

    def table(self) -> pl.DataFrame:
        """Columns split, category, n_examples, length; splits in the order of writing, in each the largest category first."""
        order = {split: index for index, split in enumerate(self.by_split())}
        return self._summed("split", "category").sort(
            pl.col("split").replace_strict(order, return_dtype=pl.Int64), pl.col("n_examples").cast(pl.Int64) * -1, "category"
        )

    def lengths(self) -> pl.DataFrame:
        """Columns split, length_bin, n_examples: examples with a reply by the floor of the binary logarithm of its length."""
        return self._summed("split", "length_bin").drop_nulls().select("split", "length_bin", "n_examples")

    def by_split(self) -> dict[str, int]:
        """Examples by split."""
        return dict(self._summed("split").select("split", "n_examples").iter_rows())

    def _summed(self, *by: str) -> pl.DataFrame:
        return pl.concat(self._counts).group_by(by, maintain_order=True).agg(pl.col("n_examples", "length").sum())

    @property
    def used(self) -> pl.Series:
        """The indices of the questions that have an example."""
        return pl.concat(self._used).unique()

    def missing(self) -> pl.DataFrame:
        """The records of chosen responses without a text."""
        records = pl.concat(self._missing).unique("key", keep="first", maintain_order=True)
        return frames.dropped(records, pl.col("mode").replace_strict(NO_TEXT, return_dtype=pl.String), "key")
