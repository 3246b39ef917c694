"""What language models said of pairs of texts, kept in ``opinions/``: no later try or version asks about the same pair again.

An opinion is kept under a digest of the model's identity, its sampling, the prompt and both texts. Files are published while the
stage runs, so that a try that fails loses at most one batch; a version that is given the one before as ``previous`` takes its
opinions over.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.artifacts import tables

DIRECTORY = "opinions"


@dataclass(frozen=True, slots=True)
class Opinion:
    """One answer."""

    SCHEMA: ClassVar[pa.Schema] = pa.schema([("pair", pa.string()), ("same", pa.bool_())])

    pair: str
    """Digest of the model and both texts."""
    same: bool | None
    """Whether the texts are the same task; None if the answer said neither."""


@dataclass
class KeptOpinions:
    """The opinions of earlier tries and of the version before, and the files that this try writes."""

    directory: Path
    publish: Callable[[Path], None] = lambda path: None
    """Publishes a file at once."""
    _same: dict[str, bool | None] = field(default_factory=dict)
    _n_files: int = 0

    def load(self, earlier: Iterable[Path | None]) -> "KeptOpinions":
        """Read the opinions below these directories; those of the later ones count. Returns itself."""
        for directory in earlier:
            for path in sorted(directory.rglob(f"{DIRECTORY}/said-*.parquet")) if directory else ():
                table = pq.read_table(path, page_checksum_verification=True)
                self._same.update(zip(table["pair"].to_pylist(), table["same"].to_pylist(), strict=True))
        return self

    def known(self, pairs: Iterable[str]) -> dict[str, bool | None]:
        """The opinions on those of the pairs that a model was asked about before."""
        return {pair: self._same[pair] for pair in pairs if pair in self._same}

    def keep(self, opinions: Mapping[str, bool | None]) -> None:
        """Write and publish the opinions of a batch, those that were known before too."""
        self._same.update(opinions)
        if opinions:
            path = self.directory / DIRECTORY / f"said-{self._n_files:05d}.parquet"
            tables.write_part(path, [Opinion(pair, same) for pair, same in sorted(opinions.items())], Opinion)
            self.publish(path)
            self._n_files += 1
