"""The artifacts that a view joins: the one named first, what it was made of, and further ones that are named."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import Manifest
from stillhouse.browsing.parts import RowTable, manifest_at, table_of
from stillhouse.errors import MissingInput
from stillhouse.vocabulary.rows import Keyed
from stillhouse.vocabulary.stage_names import MARKS

BY_QUESTION, BY_RESPONSE = ("question_id",), Keyed.KEY
KEYS = {
    "questions": BY_QUESTION, "graded": BY_QUESTION, "responses": BY_RESPONSE, "verified": BY_RESPONSE, "screened": BY_RESPONSE,
    "selected": BY_QUESTION, MARKS: BY_RESPONSE,
}  # fmt: skip
"""The kinds of rows that can be looked at, with the columns by which they are joined."""
DROPPED = "dropped"
SCHEMES = ("file://", "s3://")


@dataclass(frozen=True)
class Library:
    """One view: the rows that are listed, and the tables from which they are completed."""

    uri: str
    title: str
    listed: RowTable
    joined: Mapping[str, RowTable]
    """By kind, without the listed one's."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """Further views of the same artifact: the name that the address takes -> what it shows."""

    def table(self, kind: str) -> RowTable | None:
        """The rows of a kind; None if the view has none."""
        return self.listed if kind == self.listed.name else self.joined.get(kind)


def opened(uris: Sequence[str], section: str = "") -> Library:
    """The view of the artifact named first. ``section``: a benchmark of a report, or ``dropped``.

    Raises MissingInput if nothing is published at one of the URIs, or the first one has no rows.
    """
    uri = store.absolute(uris[0])
    manifest = manifest_at(uri)
    sections = _sections(manifest)
    if section and section not in sections:
        msg = f"{uri} has no section {section!r}; it has {', '.join(sections) or 'none'}"
        raise MissingInput(msg)
    title = f"{manifest.stage} {store.artifact_name(uri)}"
    if section == DROPPED:
        return Library(uri, title, table_of(DROPPED, ("key",), [uri], dropped=True), {}, sections)
    if manifest.stage == "report":
        benchmark = section or next(iter(sections), "")
        tables = {
            kind: table_of(kind, KEYS[kind], [uri], f"{benchmark}/{kind}/") for kind in ("verified", "questions", "responses")
        }
        return Library(uri, f"{title} · {benchmark}", tables.pop("verified"), tables, sections)
    if manifest.stage not in KEYS:
        msg = f"{uri} is a {manifest.stage} artifact and has no rows to look at; give one of {', '.join(KEYS)}, or a report"
        raise MissingInput(msg)
    listed = table_of(manifest.stage, KEYS[manifest.stage], [uri])
    return Library(uri, title, listed, _joined(uris, manifest.stage), sections)


def _joined(uris: Sequence[str], listed: str) -> dict[str, RowTable]:
    """The nearest artifacts of every other kind: named ones first, then what the artifacts were made of."""
    by_kind: dict[str, list[str]] = {}
    for kind, found in [*_named(uris[1:]), *_made_of(uris)]:
        if kind in KEYS and kind != listed and kind not in by_kind:
            by_kind[kind] = found
    return {kind: table_of(kind, KEYS[kind], found) for kind, found in by_kind.items()}


def _named(uris: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    by_kind: dict[str, list[str]] = {}
    for uri in uris:
        by_kind.setdefault(manifest_at(store.absolute(uri)).stage, []).append(store.absolute(uri))
    yield from by_kind.items()


def _made_of(uris: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The inputs of the artifacts, level by level: all artifacts of one kind that one artifact was made of."""
    pending, seen = [store.absolute(uri) for uri in uris], set[str]()
    while pending:
        uri = pending.pop(0)
        if uri in seen:
            continue
        seen.add(uri)
        by_kind: dict[str, list[str]] = {}
        for link in chain.from_iterable(manifest_at(uri).inputs.values()):
            stage = _stage(link.uri)
            if stage in KEYS:
                by_kind.setdefault(stage, []).append(link.uri)
                pending.append(link.uri)
        yield from by_kind.items()


def _stage(uri: str) -> str:
    """The stage that made an artifact; empty for a model that is none, and for what is gone from the store."""
    if not uri.startswith(SCHEMES):
        return ""
    try:
        return manifest_at(uri).stage
    except MissingInput:
        return ""


def _sections(manifest: Manifest) -> dict[str, str]:
    sections = {}
    if manifest.stage == "report":
        names = sorted({name.split("/")[0] for name in manifest.files if "/verified/" in name})
        sections = {name: f"benchmark {name}" for name in names}
    if sum(manifest.dropped.values()):
        sections[DROPPED] = f"dropped rows ({sum(manifest.dropped.values()):,})"
    return sections
