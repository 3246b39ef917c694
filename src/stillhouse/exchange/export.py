"""Export artifacts as a release: one JSON Lines file in a public schema, with its dataset card beside it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from stillhouse.artifacts import store
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, NothingToDo, StaleOutput, nearest
from stillhouse.exchange import card, joined, writing
from stillhouse.exchange.schemas import SCHEMAS
from stillhouse.execution.input_links import fetch

CARD = "README.md"


@dataclass(frozen=True)
class Exported:
    """The written file: its rows and digest."""

    rows: int
    sha256: str
    lost: dict[str, int]
    """Columns that the schema lacks -> rows that had a value in them."""


def export(uris: Sequence[str], form: str, output: str, splits: Collection[str] = ()) -> Exported:
    """Write the artifacts at ``uris``, joined to everything they were made of, to the file ``output``.

    Both files appear whole or not at all; a second, equal export changes nothing. Raises BadConfig, MissingInput, BadRows,
    NothingToDo for a release without rows, StaleOutput if a different file or card is already there.
    """
    if form not in SCHEMAS:
        msg = f"--as {form}: no such schema; {nearest(form, SCHEMAS, 'schemas')}"
        raise BadConfig(msg)
    writing.check_name(output)
    target = store.absolute(output)
    directory, _, name = target.rpartition("/")
    if target.startswith("file://") and store.local_path(target).is_dir():
        msg = f"--output {output}: is a directory; name a file in it, for example {name}/{form}.jsonl.zst"
        raise BadConfig(msg)
    links_by_stage = joined.artifacts(uris)
    if splits and not links_by_stage["selected"]:
        msg = f"--split {next(iter(splits))}: no selected artifact was given; leave --split out"
        raise BadConfig(msg)
    with scratch_directory() as scratch:
        fetched = {stage: [fetch(stage, link, scratch) for link in links] for stage, links in links_by_stage.items()}
        tally = card.ReleaseTally(SCHEMAS[form].LOST)
        path = scratch / name
        count = writing.write(path, map(SCHEMAS[form].encode, tally.counted(joined.records(fetched, splits))))
        if not count:
            of_splits = f" in split {', '.join(sorted(splits))}" if splits else ""
            msg = f"{', '.join(uris)}: no row to export{of_splits}; nothing was written"
            raise NothingToDo(msg)
        digest = sha256(path)
        (scratch / CARD).write_text(card.render(name, form, digest, path.stat().st_size, tally, uris), encoding="utf-8")
        released = (path, scratch / CARD)
        for file in released:
            _refuse_other(file, directory, scratch)
        for file in released:
            _upload(file, directory)
    return Exported(count, digest, tally.lost)


def _upload(file: Path, directory: str) -> None:
    """Upload one file. Raises StaleOutput if another process has just written a different one there."""
    try:
        store.store_of(directory).upload(file, store.join(directory, file.name), only_if_absent=True)
    except store.AlreadyThere as error:
        raise _taken(file, directory) from error


def _refuse_other(file: Path, directory: str, scratch: Path) -> None:
    """Raise StaleOutput if a file of this name and other content lies in the directory."""
    there = store.store_of(directory)
    if there.holds(store.join(directory, file.name)) and there.download(
        directory, file.name, scratch / "old" / file.name
    ) != sha256(file):
        raise _taken(file, directory)


def _taken(file: Path, directory: str) -> StaleOutput:
    uri = store.join(directory, file.name)
    return StaleOutput(f"{uri}: another file is there; nothing was overwritten: choose another directory")
