"""What a release holds -> its dataset card: the YAML header that Hugging Face reads, counts, licences, lineage."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import yaml

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.exchange import SCHEMAS
from stillhouse.exchange.record import IMPORTED, Record

SIZES = {
    10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M", 10**7: "1M<n<10M", 10**8: "10M<n<100M",
}  # fmt: skip
"""Upper bound of each size category of Hugging Face."""
NOTHING: tuple[object, ...] = (None, {}, IMPORTED)
"""What a field holds that says nothing."""
SHOWN = 30
"""Values of a column that the card lists; the rest is summed up."""
KNOWN_LICENSES = {"apache-2.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "odc-by"}
"""Licences that Hugging Face knows by this name."""


@dataclass
class Tally:
    """Counts of what went by."""

    losable: Collection[str]
    """Fields that the release has no place for."""
    columns: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in ("category", "source", "model", "license", "language")}
    )
    filled: Counter[str] = field(default_factory=Counter)
    rated: set[str] = field(default_factory=set)
    """Models that have pass rates."""
    rows: int = 0

    def counted(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass the records on, and count them."""
        for record in records:
            self.rows += 1
            for name, counts in self.columns.items():
                if name != "model" or record.text is not None:
                    counts[getattr(record, name) or "not stated"] += 1
            self.rated.update(record.pass_rates)
            self.filled.update(name for name in self.losable if getattr(record, name) not in NOTHING)
            yield record

    @property
    def lost(self) -> dict[str, int]:
        """Field that the release has no place for -> records that say something there; of those that do."""
        return {name: self.filled[name] for name in self.losable if self.filled[name]}


def render(name: str, form: str, sha256: str, size: int, tally: Tally, uris: Sequence[str]) -> str:
    """The card of the file ``name``. It depends on the release and the artifacts alone: no clock, no machine."""
    parts = [
        f"---\n{yaml.safe_dump(_header(name, form, tally), sort_keys=False, allow_unicode=True)}---\n",
        f"# {store.absolute(uris[0]).rsplit('/', 2)[-2]}\n",
        f"{tally.rows:,} rows in the schema `{form}`: `{name}`, {size:,} bytes, sha256 `{sha256}`.\n",
        *(_table(column, counts) for column, counts in tally.columns.items() if counts),
        "## Not in this file\n",
        _losses(form, tally.lost),
        "## Lineage\n",
        "Made by stillhouse of these artifacts, each named by the fingerprint of its config and its inputs:\n",
        "".join(_lineage(uris)),
    ]
    return "\n".join(parts)


def _header(name: str, form: str, tally: Tally) -> dict[str, object]:
    licenses = sorted(each for each in tally.columns["license"] if each != "not stated")
    one = licenses[0].lower() if len(licenses) == 1 and len(tally.columns["license"]) == 1 else ""
    slug = re.sub(r"[^a-z0-9.]+", "-", " and ".join(licenses).lower()).strip("-")
    other = {"license": "other", "license_name": slug or "not-stated"}
    languages = sorted(each for each in tally.columns["language"] if each != "not stated")
    return {
        **({"license": one} if one in KNOWN_LICENSES else other), **({"language": languages} if languages else {}),
        "task_categories": ["text-generation"],
        "size_categories": [next((word for bound, word in SIZES.items() if tally.rows < bound), "100M<n<1B")],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": name}]}],
        "dataset_info": {"features": SCHEMAS[form].columns(tally.rated)},
    }  # fmt: skip


def _table(column: str, counts: Counter[str]) -> str:
    shown = counts.most_common(SHOWN)
    rest = counts.total() - sum(count for _, count in shown)
    lines = [f"| {_cell(value)} | {count:,} |" for value, count in shown]
    lines += [f"| {len(counts) - SHOWN:,} others | {rest:,} |"] if rest else []
    return "\n".join([f"| {column} | rows |", "|---|---|", *lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _losses(form: str, lost: Mapping[str, int]) -> str:
    said = ", ".join(f"{name} ({count:,} rows)" for name, count in lost.items()) or "nothing that was there"
    return (
        f"The schema `{form}` has no column for: {said}. Ids follow from the questions when it is imported again; of a response\n"
        "its seed, finish reason and token counts, of a training example its split, mode and CV are not part of a release.\n"
    )


def _lineage(uris: Sequence[str]) -> Iterator[str]:
    """What the artifacts were made of; by stage, name and version: where they lie is no one else's business."""
    seen = set()
    for depth, _, link, manifest in chain.from_iterable(map(manifests.lineage, uris)):
        if link not in seen:
            seen.add(link)
            facts = f"{manifest.rows:,} rows, `{manifest.fingerprint}`, code {manifest.provenance.commit}" if manifest else "gone"
            yield f"{'  ' * depth}- {'/'.join(link.split('/')[-3:])}: {facts}\n"
