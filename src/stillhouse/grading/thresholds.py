"""The pass threshold of each category, as verdicts and grades state it; a run has one per category."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.errors import BadRows
from stillhouse.vocabulary.categories import CATEGORIES, Category


class StatedThresholds:
    """Collects the thresholds that artifacts state, and refuses a second one for a category."""

    def __init__(self, categories: pl.Series) -> None:
        """``categories``: the category of every question, in the order of the questions."""
        codes = {category: code for code, category in enumerate(CATEGORIES)}
        self._codes: npt.NDArray[np.int8] = categories.replace_strict(codes, return_dtype=pl.Int8).to_numpy()
        self._by_code = np.full(len(CATEGORIES), np.nan)
        self._artifact: dict[int, str] = {}

    def add(self, artifact: str, question: npt.NDArray[np.integer], threshold: npt.NDArray[np.float64]) -> None:
        """Take the thresholds of rows on these questions; both arrays are (n_rows,), and NaN states no threshold.

        Raises BadRows for a second threshold of a category.
        """
        codes = self._codes[question]
        new = (threshold != self._by_code[codes]) & ~np.isnan(threshold)
        for code in np.unique(codes[new]).tolist():
            for value in np.unique(threshold[new & (codes == code)]).tolist():
                self._take(artifact, code, value)

    def _take(self, artifact: str, code: int, threshold: float) -> None:
        if code in self._artifact:
            msg = (
                f"{artifact}: {CATEGORIES[code]} questions have pass threshold {threshold:g}, but {self._by_code[code]:g} in "
                f"{self._artifact[code]}; use verdicts, and grades of verdicts, that were made with the same pass_thresholds"
            )
            raise BadRows(msg)
        self._by_code[code], self._artifact[code] = threshold, artifact

    @property
    def by_category(self) -> dict[Category, float]:
        """The threshold of each category that has one."""
        return {CATEGORIES[code]: float(self._by_code[code]) for code in sorted(self._artifact)}


def column(thresholds: Mapping[Category, float]) -> pl.Expr:
    """The threshold of each row's category as the column ``threshold``; null for a category without one."""
    values = pl.lit(None, pl.Float64)
    if thresholds:
        values = pl.col("category").replace_strict(thresholds, default=None, return_dtype=pl.Float64)
    return values.alias("threshold")
