"""Questions from a data set of the Hugging Face hub, or from a folder in the same form, by the ``datasets`` library."""

from collections.abc import Iterator
from typing import Any

import datasets
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of httpx or requests, whichever the hub client uses

from stillhouse.errors import MissingInput
from stillhouse.exchange.files import Bad, Object, bounded
from stillhouse.sources import columns
from stillhouse.sources.config import HuggingFace
from stillhouse.vocabulary.rows import Dropped, Question


def questions(spec: HuggingFace) -> Iterator[Question | Dropped]:
    """The split's questions in its order, streamed. Raises MissingInput if it cannot be read, TooManyErrors."""
    location = f"{spec.dataset}@{spec.revision}/{spec.split}"
    return bounded(columns.questions(spec, _rows(spec, location)), location, spec.max_bad_rate, spec.count)


def _rows(spec: HuggingFace, location: str) -> Iterator[tuple[int, Object | Bad]]:
    number = 0
    try:
        for number, row in enumerate(_open(spec), start=1):
            yield number, row
    except (OSError, ValueError, EOFError, datasets.exceptions.DatasetsError, HTTPError) as error:
        # A truncated data set must never get the fingerprint of the whole.
        where = f" after row {number}" if number else ""
        msg = f"source {spec.name}: {location} cannot be read{where}: {error}; check name, revision, split and network"
        raise MissingInput(msg) from error
    if not number:
        yield 1, Bad("bad_file_empty", "the split has no rows")


def _open(spec: HuggingFace) -> Any:
    return datasets.load_dataset(spec.dataset, spec.subset, split=spec.split, revision=spec.revision, streaming=True)
