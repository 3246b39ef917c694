"""Questions from a data set of the Hugging Face hub, or from a folder in the same form.

The ``datasets`` library says which files a split has, and our readers read them: its own guesses each column's type from the first
rows, and fails on the row that has another. A split without such files is streamed by the library.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub

from stillhouse.errors import MissingInput, StillhouseError
from stillhouse.exchange import files
from stillhouse.exchange.bad_rows import NOT_MINE, Bad, Object, bounded
from stillhouse.exchange.config import HUB_PATH
from stillhouse.exchange.row_share import is_mine
from stillhouse.exchange.templates import FILE_NAME
from stillhouse.sources import columns
from stillhouse.sources.stored import HuggingFace
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Dropped, Question
from stillhouse.vocabulary.text import shortened


def questions(spec: HuggingFace, unmapped: Counter[str]) -> Iterator[Question | Dropped]:
    """The split's questions in its order. Raises MissingInput if it cannot be read, TooManyErrors."""
    location = f"{spec.dataset}@{spec.revision}/{spec.split}"
    mapped = columns.questions(spec, rows(spec), unmapped)
    return bounded(mapped, location, spec.max_bad_rate, spec.count)


def rows(spec: HuggingFace) -> Iterator[tuple[int, Object | Bad]]:
    """The split's rows, numbered from 1. Raises MissingInput if it cannot be read to its end."""
    location, number = f"{spec.dataset}@{spec.revision}/{spec.split}", 0
    split, start, stop = spec.split_and_slice()
    try:
        for number, row in islice(enumerate(_open(spec, split), start=1), start, stop):
            yield number, row
    except (StillhouseError, MemoryError):
        raise
    except Exception as error:
        # A truncated data set must never get the fingerprint of the whole.
        where = f" after row {number}" if number else ""
        why = shortened(one_line(error) or type(error).__name__, 300)
        msg = f"source {spec.name}: {location} cannot be read{where}: {why}; check name, revision, split and network"
        raise MissingInput(msg) from error
    if not number:
        yield 1, Bad("bad_file_empty", "the split has no rows")


def _open(spec: HuggingFace, split: str) -> Iterator[Object | Bad]:
    """The rows of the split's files; without files that we read, those that the library streams."""
    paths = _saved(Path(spec.dataset), split) or _files(spec, split)
    if not paths:
        streamed = datasets.load_dataset(spec.dataset, spec.subset, split=split, revision=spec.revision, streaming=True)
        yield from (row if is_mine(number) else NOT_MINE for number, row in enumerate(streamed, start=1))
        return
    for name in paths:
        for _, row in files.objects(_downloaded(name)):
            yield row if isinstance(row, Bad) else {FILE_NAME: name.rpartition("/")[2]} | row


def _saved(folder: Path, split: str) -> list[str]:
    """The files of a folder that ``save_to_disk`` wrote."""
    is_dict = (folder / "dataset_dict.json").is_file()
    directory = folder / split if is_dict else folder
    if not (directory / "state.json").is_file() and not is_dict:
        return []
    if not directory.is_dir():
        splits = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir()))
        msg = f"no split {split!r} in {folder}; splits: {splits}"
        raise FileNotFoundError(msg)
    return [str(path) for path in sorted(directory.glob("*.arrow"))]


def _files(spec: HuggingFace, split: str) -> list[str]:
    """The files of the split, as the data set's card or folders say; none if one has a format that only the library reads."""
    builder: Any = datasets.load_dataset_builder(spec.dataset, spec.subset, revision=spec.revision)
    by_split = builder.config.data_files or {}
    if by_split and split not in by_split:
        msg = f"no split {split!r}; splits: {', '.join(map(str, by_split))}"
        raise ValueError(msg)
    names = [str(name) for name in by_split.get(split, ())]
    return names if all(files.format_of_name(name) for name in names) else []


def _downloaded(name: str) -> Path:
    match = HUB_PATH.fullmatch(name)
    if match is None:
        return Path(name)
    path = huggingface_hub.hf_hub_download(
        match["repository"], match["path"], revision=match["revision"], repo_type="dataset"
    )  # fmt: skip
    return Path(path)
