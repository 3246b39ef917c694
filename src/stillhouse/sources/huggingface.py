"""Questions from a data set of the Hugging Face hub, or from a folder in its form, by the ``datasets`` library."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from stillhouse.errors import MissingInput
from stillhouse.exchange.files import Bad, Object, bounded
from stillhouse.sources import columns
from stillhouse.sources.columns import MappedSpec
from stillhouse.vocabulary.rows import Dropped, Question

BRANCHES = ("main", "master")


class HuggingFace(MappedSpec):
    """A split of a data set."""

    kind: Literal["huggingface"] = "huggingface"
    dataset: str
    """The data set's name on the hub, or a folder."""
    revision: str = Field(min_length=1)
    """The commit or tag to read. Of a folder, a name that whoever changes it raises."""
    subset: str | None = None
    """The data set's configuration, where it has several."""
    split: str = "train"
    """The split to read."""

    @field_validator("revision")
    @classmethod
    def _fixed(cls, revision: str) -> str:
        if revision in BRANCHES:
            msg = f"{revision} is a branch, and branches move; name a commit or a tag"
            raise ValueError(msg)
        return revision


def questions(spec: HuggingFace) -> Iterator[Question | Dropped]:
    """The split's questions in its order, streamed. Raises MissingInput where it cannot be opened, TooManyErrors."""
    place = f"{spec.dataset}@{spec.revision}/{spec.split}"
    return bounded(columns.questions(spec, _rows(spec, place)), place, spec.max_bad_rate, spec.count)


def _rows(spec: HuggingFace, place: str) -> Iterator[tuple[int, Object | Bad]]:
    import datasets

    # Of whichever library the hub's client speaks HTTP with.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    number = 0
    try:
        for number, row in enumerate(_open(spec), start=1):
            yield number, row
    except (OSError, ValueError, EOFError, datasets.exceptions.DatasetsError, HTTPError) as error:
        # Never a shorter data set under the fingerprint of the whole one.
        where = f" after row {number}" if number else ""
        msg = f"source {spec.name}: {place} cannot be read{where}: {error}; check name, revision, split and network"
        raise MissingInput(msg) from error
    if not number:
        yield 1, Bad("bad_file_empty", "the split has no row")


def _open(spec: HuggingFace) -> Any:
    import datasets

    return datasets.load_dataset(spec.dataset, spec.subset, split=spec.split, revision=spec.revision, streaming=True)
