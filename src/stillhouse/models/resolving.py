"""From a reference to a model: ``pin`` fixes which one it is, ``materialise`` brings its files to this machine."""

import hashlib
import shutil
import sys
from functools import lru_cache
from pathlib import Path

from stillhouse.artifacts import claiming, integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Link, ModelLink
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import DamagedArtifact
from stillhouse.execution.contract import PinnedConfig
from stillhouse.models import adapter_merging, directories, hub_models, loadable, named_in_configs, pins, registered
from stillhouse.models.cache import filled
from stillhouse.models.pins import Pin
from stillhouse.models.references import (
    Adapter,
    ArtifactModel,
    DirectoryModel,
    HubModel,
    Reference,
    RegistryModel,
    is_reference,
    parse,
)
from stillhouse.vocabulary.settings import StageConfig


def pin(reference: Reference) -> Pin:
    """Which model the reference means now.

    Raises MissingInput, in one line, if there is no such model or it may not be loaded; HubFailed, TrackingFailed or StoreFailed if
    whoever knows does not answer.
    """
    if isinstance(reference, Adapter):
        return _together(pin(reference.base), pin(reference.adapter))
    if isinstance(reference, HubModel):
        return hub_models.pin(reference)
    if isinstance(reference, RegistryModel):
        return registered.pin(reference)
    return _pin_of_files(reference)


def materialise(pin: Pin) -> Path:
    """A local directory with the pinned model's files, from the cache if they are there; not to be written to.

    Raises what ``pin`` raises, MissingInput if the files are no model that can be loaded, and DamagedArtifact if they have changed
    since they were pinned.
    """
    directory = _files(pin)
    loadable.require(directory, pin.reference)
    return directory


def pin_input(text: str, output: str) -> ModelLink:
    """What an input's reference means in the run of this output (``contract.ModelSource``)."""
    reference = parse(text if is_reference(text) else store.absolute(text))
    pinned = _of_run(reference, output)
    return ModelLink(uri=pinned.reference, fingerprint=pinned.fingerprint, kind=pinned.kind, named=text)


def pin_config(config: StageConfig, output: str) -> PinnedConfig:
    """The config with its models fixed for the run of this output (``contract.ModelSource``)."""
    named = {path: pin_input(text, output) for path, text in named_in_configs.references(config).items()}
    settings = config.model_dump(mode="json")
    if not named:
        return PinnedConfig(config, settings, {})
    fixed = {path: _fixed_text(link) for path, link in named.items()}
    fingerprints = {path: link.fingerprint for path, link in named.items()}
    models = {".".join(map(str, path)): link for path, link in named.items()}
    return PinnedConfig(named_in_configs.replaced(config, fixed), named_in_configs.with_texts(settings, fingerprints), models)


def directory(link: Link) -> Path:
    """A local directory with the files of a pinned model (``contract.ModelSource``)."""
    return materialise(Pin("directory", link.uri, link.fingerprint))


def fetched(text: str, output: str | None = None) -> tuple[ModelLink, Path]:
    """Pin a model, for the run of an output if one is named, and bring its files to this machine.

    Raises what ``pin`` and ``materialise`` raise, BadConfig for an output that no stage writes.
    """
    if output is None:
        now = pin(parse(text if is_reference(text) else store.absolute(text)))
        link = ModelLink(uri=now.reference, fingerprint=now.fingerprint, kind=now.kind, named=text)
    else:
        claiming.require_output_of_any_stage(output, "--for")
        link = pin_input(text, store.absolute(output))
    return link, directory(link)


def local(text: str) -> Path:
    """A local directory with the files of the model that a config names. Raises BadConfig for a text that is no reference."""
    return materialise(pin(parse(text)))


@lru_cache(maxsize=256)
def identity(text: str) -> str:
    """What tells a model that a pinned config names from others: its fingerprint, wherever it lies; of an endpoint's, its name."""
    return pin(parse(text)).fingerprint if is_reference(text) else text


def _fixed_text(link: ModelLink) -> str:
    """The reference that names this very model in a config: of a directory with the digest of its files."""
    return f"{link.uri}@{link.fingerprint}" if link.kind == "directory" else link.uri


def _of_run(reference: Reference, output: str) -> Pin:
    """The pin that all tasks of the run agree on; a reference that cannot move needs no record."""
    if isinstance(reference, Adapter):
        base, adapter = (_of_run(part, output) for part in (reference.base, reference.adapter))
        return _together(base, adapter)
    moves = (isinstance(reference, HubModel) and not reference.fixed) or (isinstance(reference, RegistryModel) and reference.alias)
    if not moves:
        return pin(reference)
    pinned = pins.once(output, reference, lambda: pin(reference))
    print(f"  {reference} is {pinned.reference} in this run", file=sys.stderr, flush=True)
    return pinned


def _together(base: Pin, adapter: Pin) -> Pin:
    return Pin("adapter", f"{base.reference}+{adapter.reference}", f"{base.fingerprint}+{adapter.fingerprint}")


def _files(pin: Pin) -> Path:
    reference = parse(pin.reference)
    if isinstance(reference, Adapter):
        return _merged(reference, pin.fingerprint)
    if isinstance(reference, HubModel):
        return hub_models.fetch(reference)
    if isinstance(reference, RegistryModel):
        return registered.fetch(reference, pin.fingerprint)
    now = _pin_of_files(reference)
    _require_same(pin.reference, pin.fingerprint, now.fingerprint)
    return _artifact(now) if now.kind == "artifact" else directories.fetch(reference.uri)


def _require_same(reference: str, pinned: str, now: str) -> None:
    if now != pinned:
        msg = f"model {reference}: its files have changed since it was pinned ({pinned[:23]}, now {now[:23]}); restore them"
        raise DamagedArtifact(msg)


def _pin_of_files(reference: DirectoryModel | ArtifactModel) -> Pin:
    """An artifact if a manifest lies there, else a directory."""
    uri = store.absolute(reference.uri)
    manifest = manifests.find(uri)
    if manifest is not None:
        return Pin("artifact", uri, manifest.fingerprint)
    if isinstance(reference, ArtifactModel) and not store.store_of(uri).names(uri):
        manifests.load(uri, "model")  # raises MissingInput: nothing is published there
    pinned = directories.pin(uri)
    if isinstance(reference, DirectoryModel) and reference.digest:
        _require_same(uri, reference.digest, pinned.fingerprint)
    return pinned


def _artifact(pin: Pin) -> Path:
    """An artifact's files in the cache; links, checked each time, if it lies on a disk."""

    def fill(directory: Path) -> None:
        with scratch_directory() as scratch:
            fetched = integrity.fetch(pin.reference, scratch)
            shutil.copytree(fetched, directory, symlinks=True, dirs_exist_ok=True)

    if pin.reference.startswith("file://"):
        with scratch_directory() as scratch:
            integrity.fetch(pin.reference, scratch)
    return filled(f"artifacts/{pin.fingerprint}-{_digest(pin.reference)}", fill)


def _merged(reference: Adapter, fingerprint: str) -> Path:
    """The adapter merged into its base, in the cache."""
    base, adapter = (_files(pin(part)) for part in (reference.base, reference.adapter))
    adapter_merging.require_fit(base, adapter, str(reference))
    return filled(
        f"merged/{_digest(fingerprint)}", lambda directory: adapter_merging.merge(base, adapter, directory, str(reference))
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
