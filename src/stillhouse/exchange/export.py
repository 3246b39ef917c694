"""Export artifacts as a release: a folder (see ``folder``), or one JSON Lines file with its dataset card beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stillhouse.artifacts import store
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig, nearest
from stillhouse.exchange import card, joined, writing
from stillhouse.exchange.delivered import CARD, deliver
from stillhouse.exchange.folder import ExportedFolder, export_folder
from stillhouse.exchange.release_forms import FORMS, ReleaseForm


@dataclass(frozen=True)
class Exported:
    """The written file: its rows and digest."""

    rows: int
    sha256: str
    lost: Mapping[str, int]
    """Columns that the form lacks -> rows that had a value in them."""
    left_out: str = ""
    """The rows that the form has no place for, in words."""

    def summary(self, output: str) -> list[str]:
        """What was written, in lines."""
        lost = [f"  no column for {column} ({count:,} rows)" for column, count in self.lost.items()]
        left_out = [f"  left out {self.left_out}"] if self.left_out else []
        return [f"{output}: {self.rows:,} rows · sha256 {self.sha256}", *left_out, *lost]


def export(
    uris: Sequence[str], form: str | Sequence[str], output: str, splits: Sequence[str] = (), *, merge: bool = False
) -> Exported | ExportedFolder:  # fmt: skip
    """Write the artifacts at ``uris``, joined to everything they were made of: to a file if ``output`` names one, else to a folder.

    Files appear whole or not at all; a second, equal export changes nothing. Raises BadConfig, MissingInput, BadRows, NothingToDo
    for a release without rows, StaleOutput if a different file or card is already there.
    """
    forms = [_form(name) for name in ([form] if isinstance(form, str) else dict.fromkeys(form))]
    if writing.is_folder(output):
        return export_folder(uris, forms, output, splits, merge=merge)
    writing.check_name(output)
    if len(forms) > 1:
        msg = f"--output {output}: a file has one form, got {', '.join(each.name for each in forms)}; name a folder"
        raise BadConfig(msg)
    return _export_file(uris, forms[0], output, splits, merge=merge)


def _form(name: str) -> ReleaseForm:
    if name not in FORMS:
        msg = f"--as {name}: no such form; {nearest(name, FORMS, 'forms')}"
        raise BadConfig(msg)
    return FORMS[name]


def _export_file(uris: Sequence[str], form: ReleaseForm, output: str, splits: Sequence[str], *, merge: bool) -> Exported:
    target = store.absolute(output)
    directory, _, name = target.rpartition("/")
    if target.startswith("file://") and store.local_path(target).is_dir():
        msg = f"--output {output}: is a directory; name a file in it, for example {name}/{form.name}.jsonl.zst"
        raise BadConfig(msg)
    with scratch_directory() as scratch:
        directories = joined.fetched(uris, scratch, splits)
        if len(names := joined.split_names(directories, splits)) > 1 and not merge:
            msg = (
                f"--output {output}: a file holds one split, selected has {', '.join(names)}; choose one by --split, name a "
                "folder, or write all examples once with --merge"
            )
            raise BadConfig(msg)
        tally = card.ReleaseTally(form.lost)
        path = scratch / "release" / name
        path.parent.mkdir()
        rows = (record for record in joined.records(directories, splits) if tally.taken(form, record))
        count = writing.write(path, map(form.encode, tally.counted(rows)))
        if not count:
            raise tally.nothing([form], uris)
        digest = sha256(path)
        (path.parent / CARD).write_text(card.render(name, form, digest, path.stat().st_size, tally, uris), encoding="utf-8")
        deliver(path.parent, [name, CARD], directory, scratch)
    return Exported(count, digest, tally.lost, tally.gaps([form]).get(form.name, ""))
