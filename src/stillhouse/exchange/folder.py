"""Export artifacts as a folder that Hugging Face's ``load_dataset`` and trainers read: one config per form, one split per split.

``FORM/SPLIT/part-00000.parquet``, ``README.md`` (the dataset card), ``dataset_info.json`` (LLaMA-Factory's), ``SHA256SUMS``.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from stillhouse.artifacts import store
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.exchange import card, joined, parquet_files
from stillhouse.exchange.delivered import CARD, deliver
from stillhouse.exchange.joined import Directories
from stillhouse.exchange.record import Record
from stillhouse.exchange.release_forms import ReleaseForm

INFO, SUMS = "dataset_info.json", "SHA256SUMS"
WHOLE = "train"
"""The split of a release that is not of selected examples, or whose splits are merged."""


@dataclass(frozen=True)
class ExportedFolder:
    """The written folder."""

    rows: Mapping[tuple[str, str], int]
    """By form and split; a split of which a form has no row is left out."""
    files: int
    lost: Mapping[str, int]
    """Columns that no form of the release has -> rows that had a value in them."""
    left_out: Mapping[str, str]
    """Form -> the rows that it has no place for, in words."""

    def summary(self, output: str) -> list[str]:
        """What was written, in lines."""
        rows = [f"  {form}/{split}: {count:,} rows" for (form, split), count in self.rows.items()]
        lost = [f"  no column for {column} ({count:,} rows)" for column, count in self.lost.items()]
        empty = {form for form in self.left_out if not any(name == form for name, _ in self.rows)}
        left_out = [f"  {form}: {'no row; ' if form in empty else ''}left out {rows}" for form, rows in self.left_out.items()]
        return [f"{output}: {self.files:,} files", *rows, *left_out, *lost]


def export_folder(
    uris: Sequence[str], forms: Sequence[ReleaseForm], output: str, splits: Sequence[str], *, merge: bool,
    rows_per_file: int = parquet_files.ROWS_PER_FILE,
) -> ExportedFolder:  # fmt: skip
    """Write the artifacts at ``uris`` in these forms; a second, equal export changes nothing.

    Raises BadConfig, MissingInput, BadRows, NothingToDo without rows, StaleOutput if other files are already there.
    """
    with scratch_directory() as scratch:
        directories = joined.fetched(uris, scratch, splits)
        root, lines = scratch / "release", scratch / "lines"
        tally = card.ReleaseTally([name for name in forms[0].lost if all(name in form.lost for form in forms)])
        names = joined.split_names(directories, splits)
        counts = _encoded(directories, forms, [WHOLE] if merge or not names else names, splits, tally, lines)
        if not counts:
            raise tally.nothing(forms, uris)
        for form in forms:
            for split in (split for name, split in counts if name == form.name):
                columns = form.columns(tally.rated)
                parquet_files.write_parquet(lines / form.name / split, root / form.name / split, columns, rows_per_file)
        (root / CARD).write_text(card.render_folder(_name(output), forms, counts, tally, uris), encoding="utf-8")
        if info := _llama_factory(_name(output), forms, counts):
            (root / INFO).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        _write_sums(root)
        files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        # The card last: whoever sees it finds the rest.
        deliver(root, sorted(files, key=lambda name: name == CARD), store.absolute(output), scratch)
    return ExportedFolder(counts, len(files), tally.lost, tally.gaps(forms))


def _encoded(
    directories: Directories, forms: Sequence[ReleaseForm], names: Sequence[str], splits: Collection[str],
    tally: card.ReleaseTally, lines: Path,
) -> dict[tuple[str, str], int]:  # fmt: skip
    """Write the records of each split as lines, one file per form; returns the number of lines by form and split."""
    counts: Counter[tuple[str, str]] = Counter()
    for name in names:
        with ExitStack() as opened:
            outputs: dict[str, Any] = {}
            for record in tally.counted(_records(directories, name, splits)):
                for form in (form for form in forms if tally.taken(form, record)):
                    if form.name not in outputs:
                        (lines / form.name).mkdir(parents=True, exist_ok=True)
                        outputs[form.name] = opened.enter_context((lines / form.name / _split_of(name)).open("wb"))
                    outputs[form.name].write(to_json(form.encode(record)) + b"\n")
                    counts[form.name, _split_of(name)] += 1
    return dict(counts)


def _records(directories: Directories, name: str, splits: Collection[str]) -> Iterator[Record]:
    return joined.records(directories, splits if name == WHOLE else [name])


def _split_of(name: str) -> str:
    """A split's name as Hugging Face allows it: letters, digits and underscores. The column ``split`` keeps ours."""
    return re.sub(r"\W", "_", name)


def _name(output: str) -> str:
    return store.absolute(output).rstrip("/").rpartition("/")[2]


def _llama_factory(
    name: str, forms: Sequence[ReleaseForm], counts: Mapping[tuple[str, str], int]
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """The entries of LLaMA-Factory's data sets; its ``dataset_dir`` is the folder."""
    readable = {form.name: form.llama_factory for form in forms if form.llama_factory}
    return {
        f"{name}-{form}-{split}": {"file_name": f"{form}/{split}", **readable[form]} for form, split in counts if form in readable
    }


def _write_sums(root: Path) -> None:
    """Write the digests of all files, as ``sha256sum --check`` reads them."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    sums = "".join(f"{sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in paths)
    (root / SUMS).write_text(sums, encoding="utf-8")
