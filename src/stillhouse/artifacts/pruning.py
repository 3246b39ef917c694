"""Remove the versions of a store that nothing reaches: no registered model, no pin, none of the last runs, and nothing they need.

A version is reached through the inputs and models of a kept one, through the files that a kept one points to, and through the claim
of a run that reads it. A run may begin to point to a version, or to read it, while it is removed. So its manifest goes first; then
the store is searched for new pointers and claims, and a version that one names gets its manifest back; only then its files go.
The run that points looks for the manifest once it has published (``reuse.publish``).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from stillhouse.artifacts import claiming, naming, reuse, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.lease import is_claim
from stillhouse.artifacts.manifest import LATEST, MANIFEST, Manifest
from stillhouse.errors import BadConfig, DamagedArtifact, MissingInput
from stillhouse.vocabulary.stage_names import MARKS

PINS = ".pinned"
READERS = 16
_DEPTH = 4
"""Segments of ``{stage}/{name}/{version}/manifest.json`` below the root, and of ``{stage}/.pinned/{name}/{version}``."""


@dataclass(frozen=True)
class PrunePlan:
    """What stays and what may go; by URI."""

    kept: Mapping[str, str]
    """Why each version is kept."""
    removable: Mapping[str, Manifest]
    manifests: Mapping[str, Manifest]
    """Of all versions."""
    unreadable: list[str] = field(default_factory=list)
    """Versions whose manifests are damaged: they are left alone."""


def own_bytes(manifest: Manifest) -> int:
    """Bytes of the files in the artifact's own directory."""
    return sum(file.bytes for file in manifest.files.values() if file.at is None)


def pin(uri: str, *, remove: bool = False) -> None:
    """Keep a version, and all it was made of, from being pruned; with ``remove`` no longer. Raises MissingInput for no artifact."""
    uri = store.absolute(uri)
    place = store.join(naming.stage_root(uri), PINS, naming.version_of(uri))
    if remove:
        store.store_of(uri).remove(place)
        return
    manifests.load(uri)
    store.store_of(uri).write(place, f"pinned at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode())


def plan(root: str, last: int, registered: Mapping[str, str]) -> PrunePlan:
    """Which versions below the root nothing reaches.

    ``last``: the newest versions, by name over all stages, that are kept; ``registered``: URI -> why it is kept. Raises
    MissingInput if the root holds no artifact.
    """
    root = store.absolute(root)
    names = store.store_of(root).names(root)
    versions, unreadable = _manifests(_versions(root, names))
    if not versions and not unreadable:
        msg = f"{root}: no artifact below it; give the root of a store, which holds {{stage}}/{{name}}/{{version}}"
        raise MissingInput(msg)
    kept: dict[str, str] = {}
    starts = {_version_below(root, uri): why for uri, why in registered.items()}
    starts = {uri: why for uri, why in starts.items() if uri in versions}
    starts |= {uri: "pinned" for uri in _pinned(root, names) if uri in versions}
    starts |= dict.fromkeys(_newest(versions, last), f"of the last {last} runs")
    starts |= {uri: "being written" for uri in versions if claiming.read(uri)[0] is not None}
    work = _work_going_on(root, names)
    starts |= {uri: "read by a run that goes on" for uri, manifest in versions.items() if manifest.fingerprint in work}
    pending = list(starts.items())
    while pending:
        uri, why = pending.pop()
        if uri in kept or uri not in versions:
            continue
        kept[uri] = why
        pending += [(needed, f"needed by {uri}") for needed in _needs(uri, versions[uri])]
    # Not with what they judge: a mark holds all that a verifier needs.
    kept |= {uri: "made by people" for uri, manifest in versions.items() if manifest.stage == MARKS and uri not in kept}
    return PrunePlan(kept, {uri: manifest for uri, manifest in versions.items() if uri not in kept}, versions, unreadable)


def remove(root: str, removable: Mapping[str, Manifest]) -> list[str]:
    """Remove these versions, as ``plan`` found them; returns those that were removed. Only files that a manifest lists go."""
    root = store.absolute(root)
    at = store.store_of(root)
    before = set(_versions(root, at.names(root)))
    for uri in removable:
        at.remove(store.join(uri, MANIFEST))
    names = at.names(root)
    left, work = _versions(root, names), _work_going_on(root, names)
    published_since, _ = _manifests([uri for uri in left if uri not in before])
    wanted = {needed for uri, manifest in published_since.items() for needed in _needs(uri, manifest)}
    wanted |= {uri for uri, manifest in removable.items() if manifest.fingerprint in work}
    returned: set[str] = set()
    while back := [uri for uri in removable if uri in wanted and uri not in returned]:
        for uri in back:
            at.write(store.join(uri, MANIFEST), manifests.serialised(removable[uri]))
            wanted |= set(_needs(uri, removable[uri]))
        returned |= set(back)
    gone = [uri for uri in removable if uri not in returned]
    for uri in gone:
        _remove_files(uri, removable[uri])
    _repoint(gone, [*left, *returned])
    return gone


def _versions(root: str, names: Iterable[str]) -> list[str]:
    """The URI of every version with a manifest among the names below a root."""
    split = (name.split("/") for name in names)
    return [_uri(root, parts[:-1]) for parts in split if len(parts) == _DEPTH and parts[-1] == MANIFEST]


def _uri(root: str, segments: Sequence[str]) -> str:
    """The URI of something below a root."""
    path = "/".join(segments)
    return store.join(root, quote(path) if root.startswith("file://") else path)


def _work_going_on(root: str, names: Iterable[str]) -> str:
    """What the claims below a root say of work that has not ended: the fingerprints of all that it reads stand in there."""
    split = (name.split("/") for name in names)
    outputs = {_uri(root, parts[:-1]) for parts in split if is_claim(parts[-1])}

    def read(uri: str) -> str:
        try:
            claim, _ = claiming.read(uri)
        except BadConfig:  # a file of somebody else
            return ""
        return claim.work.model_dump_json() if claim and not claim.released else ""

    with ThreadPoolExecutor(READERS) as pool:
        return "\n".join(pool.map(read, outputs))


def _manifests(uris: Iterable[str]) -> tuple[dict[str, Manifest], list[str]]:
    """The manifests by URI, and the URIs of damaged ones."""
    damaged: list[str] = []

    def read(uri: str) -> tuple[str, Manifest | None]:
        try:
            return uri, manifests.find(uri)
        except DamagedArtifact:
            damaged.append(uri)
            return uri, None

    with ThreadPoolExecutor(READERS) as pool:
        readable = {uri: manifest for uri, manifest in pool.map(read, uris) if manifest is not None}
    return readable, sorted(damaged)


def _needs(uri: str, manifest: Manifest) -> list[str]:
    """The versions that a version was made of, its models among them, and those whose files it lists.

    Each also as a version of this very store, which may have been moved since, or be reached by another path.
    """
    holders = {manifests.location(uri, manifest, name)[0] for name in manifest.files} - {uri}
    models = (model.uri for model in manifest.models.values() if model.kind == "artifact")
    needed = [*holders, *models, *(link.uri for links in manifest.inputs.values() for link in links)]
    return [*needed, *(_version_below(naming.stage_root(uri).rsplit("/", 1)[0], other) for other in needed)]


def _version_below(root: str, uri: str) -> str:
    """The version of this root that has the URI's stage, name and version."""
    return store.join(root, *naming.split_shard(uri)[0].split("/")[-_DEPTH + 1 :])


def _pinned(root: str, names: Iterable[str]) -> list[str]:
    split = (name.split("/") for name in names)
    return [_uri(root, (parts[0], *parts[2:])) for parts in split if len(parts) == _DEPTH and parts[1] == PINS]


def _newest(versions: Mapping[str, Manifest], last: int) -> list[str]:
    """The artifacts of the versions that were published last, over all stages."""
    runs: defaultdict[str, list[str]] = defaultdict(list)
    for uri in versions:
        runs[uri.rsplit("/", 1)[-1]].append(uri)
    newest = sorted(runs.values(), key=lambda uris: max(versions[uri].provenance.finished for uri in uris), reverse=True)
    return [uri for uris in newest[:last] for uri in uris]


def _remove_files(uri: str, manifest: Manifest) -> None:
    """Remove the files that the manifest lists, and those of shards that it was not put together from."""
    at = store.store_of(uri)
    names = at.names(uri)
    listed = {*manifest.stored.values()}
    for name in names:
        if name.startswith("shards/") and name.endswith(f"/{MANIFEST}"):
            shard = name.removesuffix(f"/{MANIFEST}")
            listed |= {name, *(f"{shard}/{stored}" for stored in _shard_files(store.join(uri, shard)))}
    for name in names:
        if name in listed:
            at.remove(store.join(uri, name))
    at.tidy(uri)
    entry = store.join(naming.stage_root(uri), reuse.INDEX, manifest.fingerprint)
    if reuse.named(uri, manifest.fingerprint) == uri:
        for name in at.names(entry):
            at.remove(store.join(entry, name))


def _shard_files(uri: str) -> list[str]:
    try:
        shard = manifests.find(uri)
    except DamagedArtifact:
        return []
    return list(shard.stored.values()) if shard else []


def _repoint(gone: Iterable[str], left: Iterable[str]) -> None:
    """Have the pointers ``latest.json`` that named a removed version name the newest one that is left, or remove them."""
    for parent in {uri.rsplit("/", 1)[0] for uri in gone}:
        pointer = store.join(parent, LATEST)
        if manifests.latest(store.join(parent, "any")) not in set(gone):
            continue
        store.store_of(pointer).remove(pointer)
        siblings, _ = _manifests([uri for uri in left if uri.rsplit("/", 1)[0] == parent])
        if siblings:
            manifests.point(*max(siblings.items(), key=lambda item: item[1].provenance.finished))
