"""Write a release's dataset card: the YAML header that Hugging Face reads, counts, licences, lineage."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import yaml

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.errors import NothingToDo
from stillhouse.exchange.record import IMPORTED, Record
from stillhouse.exchange.release_forms import ReleaseForm

SIZES = {
    10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M", 10**7: "1M<n<10M", 10**8: "10M<n<100M",
}  # fmt: skip
"""Upper bound of each size category of Hugging Face."""
NOTHING: tuple[object, ...] = (None, {}, IMPORTED)
"""Values that carry no information."""
NOT_STATED = "not stated"
SOURCES_SHOWN = 100
"""Sources in the table of licences."""
SHOWN = 30
"""Values per column that the card lists; the rest is summed up."""
KNOWN_LICENSES = {"apache-2.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "odc-by"}
"""Licences that Hugging Face knows by this name."""


@dataclass
class ReleaseTally:
    """Counts over the exported records."""

    losable: Collection[str]
    """Fields of a record that the release has no column for."""
    columns: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in ("category", "source", "model", "license", "language")}
    )
    licenses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by source and licence."""
    filled: Counter[str] = field(default_factory=Counter)
    rated: set[str] = field(default_factory=set)
    """Models that have pass rates."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Records that a form has no row for, by form."""
    rows: int = 0

    def counted(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass the records through, and count them."""
        for record in records:
            self.rows += 1
            for name, counts in self.columns.items():
                if name != "model" or record.text is not None:
                    counts[getattr(record, name) or NOT_STATED] += 1
            self.licenses[record.source or NOT_STATED, record.license or NOT_STATED] += 1
            self.rated.update(record.pass_rates)
            self.filled.update(name for name in self.losable if getattr(record, name) not in NOTHING)
            yield record

    def taken(self, form: ReleaseForm, record: Record) -> bool:
        """Whether the form has a row for the record; counts those that it has none for."""
        takes = form.takes(record)
        self.left_out[form.name] += not takes
        return takes

    def gaps(self, forms: Sequence[ReleaseForm]) -> dict[str, str]:
        """Form -> the rows that it left out, in words; only forms that left any out."""
        return {form.name: form.without(self.left_out[form.name]) for form in forms if self.left_out[form.name]}

    def nothing(self, forms: Sequence[ReleaseForm], uris: Sequence[str]) -> NothingToDo:
        """The refusal of a release without rows: which rows each form leaves out, and which forms take them."""
        rows = "; ".join(f"{name} leaves out {rows}" for name, rows in self.gaps(forms).items())
        others = (
            "responses go out as messages, alpaca or sharegpt, prompts as prompts or verl, both as am-1.4m, am-40m or conversations"
        )
        why = f" ({rows}; {others})" if rows else ""
        return NothingToDo(
            f"{', '.join(uris)}: no row to export as {', '.join(form.name for form in forms)}{why}; nothing was written"
        )

    @property
    def lost(self) -> dict[str, int]:
        """Lost field -> number of records that had a value in it; only fields with any."""
        return {name: self.filled[name] for name in self.losable if self.filled[name]}


def render(name: str, form: ReleaseForm, sha256: str, size: int, tally: ReleaseTally, uris: Sequence[str]) -> str:
    """The card of the file ``name``. It depends only on the release and the artifacts, not on clock or machine."""
    config = {"config_name": "default", "data_files": [{"split": "train", "path": name}]}
    header = _header(tally, [config], {"features": form.columns(tally.rated)})
    what = f"{tally.rows:,} rows in the schema `{form.name}`: `{name}`, {size:,} bytes, sha256 `{sha256}`."
    title = store.absolute(uris[0]).rsplit("/", 2)[-2]
    return _page(title, header, [what], [_losses(f"The schema `{form.name}`", [form], tally)], tally, uris)


def render_folder(
    name: str, forms: Sequence[ReleaseForm], counts: Mapping[tuple[str, str], int], tally: ReleaseTally, uris: Sequence[str]
) -> str:  # fmt: skip
    """The card of a folder with the rows ``counts`` by form and split."""
    written = [form for form in forms if any(name == form.name for name, _ in counts)]
    configs = [
        {
            "config_name": form.name,
            "data_files": [
                {"split": split, "path": f"{form.name}/{split}/*.parquet"} for name, split in counts if name == form.name
            ],
        }
        for form in written
    ]
    features = [{"config_name": form.name, "features": form.columns(tally.rated)} for form in written]
    header = _header(tally, configs, features)
    lines = [f"| {form} | {split} | {count:,} |" for (form, split), count in counts.items()]
    table = "\n".join(["| config | split | rows |", "|---|---|---|", *lines, ""])
    form, split = next(iter(counts))
    use = f"```python\nload_dataset({name!r}, {form!r}, split={split!r})\n```\n\n`sha256sum --check SHA256SUMS` checks the files.\n"
    return _page(name, header, [table, use], [_losses("This release", forms, tally)], tally, uris)


def _page(
    title: str, header: Mapping[str, object], what: Sequence[str], losses: Sequence[str], tally: ReleaseTally, uris: Sequence[str]
) -> str:  # fmt: skip
    parts = [
        f"---\n{_yaml(header)}---\n",
        f"# {title}\n",
        *(f"{part}\n" if not part.endswith("\n") else part for part in what),
        *(_table(column, counts) for column, counts in tally.columns.items() if counts),
        "## Sources and licences\n",
        _licenses(tally.licenses),
        "## Not in this release\n",
        *losses,
        "## Lineage\n",
        "Made by stillhouse of these artifacts, each named by the fingerprint of its config and its inputs:\n",
        "".join(_lineage(uris)),
    ]
    return "\n".join(parts)


def _yaml(header: Mapping[str, object]) -> str:
    """The header without YAML's anchors, which not every reader of cards knows: by way of JSON, no value is shared."""
    return str(yaml.safe_dump(json.loads(json.dumps(header)), sort_keys=False, allow_unicode=True))


def _header(tally: ReleaseTally, configs: Sequence[object], dataset_info: object) -> dict[str, object]:
    licenses = sorted(name for name in tally.columns["license"] if name != NOT_STATED)
    single = licenses[0].lower() if len(licenses) == 1 and len(tally.columns["license"]) == 1 else ""
    slug = re.sub(r"[^a-z0-9.]+", "-", " and ".join(licenses).lower()).strip("-")
    other = {"license": "other", "license_name": slug or "not-stated"}
    languages = sorted(code for code in tally.columns["language"] if code != NOT_STATED)
    return {
        **({"license": single} if single in KNOWN_LICENSES else other), **({"language": languages} if languages else {}),
        "task_categories": ["text-generation"],
        "size_categories": [next((word for bound, word in SIZES.items() if tally.rows < bound), "100M<n<1B")],
        "configs": configs,
        "dataset_info": dataset_info,
    }  # fmt: skip


def _licenses(counts: Counter[tuple[str, str]]) -> str:
    lines = [f"| {_cell(source)} | {_cell(name)} | {count:,} |" for (source, name), count in sorted(counts.items())[:SOURCES_SHOWN]]
    rest = len(counts) - len(lines)
    lines += (
        [f"| {rest:,} others | | {counts.total() - sum(count for _, count in sorted(counts.items())[:SOURCES_SHOWN]):,} |"]
        if rest
        else []
    )
    return "\n".join(["| source | licence | rows |", "|---|---|---|", *lines, ""])


def _table(column: str, counts: Counter[str]) -> str:
    shown = counts.most_common(SHOWN)
    rest = counts.total() - sum(count for _, count in shown)
    lines = [f"| {_cell(value)} | {count:,} |" for value, count in shown]
    lines += [f"| {len(counts) - SHOWN:,} others | {rest:,} |"] if rest else []
    return "\n".join([f"| {column} | rows |", "|---|---|", *lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _losses(release: str, forms: Sequence[ReleaseForm], tally: ReleaseTally) -> str:
    columns = ", ".join(f"{name} ({count:,} rows)" for name, count in tally.lost.items()) or "nothing that had a value"
    rows = "".join(f"`{name}` leaves out {rows}.\n" for name, rows in tally.gaps(forms).items())
    return rows + (
        f"{release} has no column for: {columns}. An import computes ids from the questions. A release has no\n"
        "seed, finish reason or token counts of a response, and no mode or CV of a training example.\n"
    )


def _lineage(uris: Sequence[str]) -> Iterator[str]:
    """What the artifacts were made of, by stage, name and version; their location stays private."""
    seen = set()
    for depth, _, link, manifest in chain.from_iterable(map(manifests.lineage, uris)):
        if link not in seen:
            seen.add(link)
            facts = f"{manifest.rows:,} rows, `{manifest.fingerprint}`, code {manifest.provenance.commit}" if manifest else "gone"
            yield f"{'  ' * depth}- {'/'.join(link.split('/')[-3:])}: {facts}\n"
