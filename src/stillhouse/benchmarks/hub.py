"""Published data sets on the Hugging Face hub -> their rows."""

from collections.abc import Iterator

import datasets
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of httpx or requests, whichever the hub client uses

from stillhouse.benchmarks.adapters import DatasetRow
from stillhouse.benchmarks.definitions import VARIABLE, HubDataset
from stillhouse.errors import MissingInput
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.text import shortened


def hub_rows(dataset: HubDataset, name: str, commit: str) -> Iterator[DatasetRow]:
    """The rows at a commit, split by split, each with a column ``split``. Raises MissingInput if the hub cannot be read."""
    try:
        for split in dataset.splits:
            if dataset.files:
                path = f"hf://datasets/{dataset.name}@{commit}/{dataset.files}"
                rows = datasets.load_dataset("json", data_files=path, split="train", streaming=True)
            else:
                rows = datasets.load_dataset(dataset.name, dataset.subset, split=split, revision=commit)
            yield from (DatasetRow(row, split=split) for row in rows)
    except (OSError, ValueError, EOFError, datasets.exceptions.DatasetsError, HTTPError) as error:
        why = shortened(one_line(error), 300)
        msg = (
            f"benchmark {name}: {dataset.name} at {commit} cannot be read from the hub ({why}); check commit, "
            f"network and HF_TOKEN, or put the rows in {name}.jsonl below {VARIABLE} and write {name}@sha256-DIGEST"
        )
        raise MissingInput(msg) from error
