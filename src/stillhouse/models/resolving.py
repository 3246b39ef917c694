"""From a reference to a model: ``pin`` fixes which one it is, ``materialise`` brings its files to this machine."""

import hashlib
import shutil
from pathlib import Path

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import DamagedArtifact
from stillhouse.models import adapter_merging, directories, hub_models, registered
from stillhouse.models.cache import filled
from stillhouse.models.pins import Pin
from stillhouse.models.references import Adapter, ArtifactModel, DirectoryModel, HubModel, Reference, RegistryModel, parse


def pin(reference: Reference) -> Pin:
    """Which model the reference means now.

    Raises MissingInput, in one line, if there is no such model or it may not be loaded; HubFailed, TrackingFailed or StoreFailed if
    whoever knows does not answer.
    """
    if isinstance(reference, Adapter):
        base, adapter = pin(reference.base), pin(reference.adapter)
        return Pin("adapter", f"{base.reference}+{adapter.reference}", f"{base.fingerprint}+{adapter.fingerprint}")
    if isinstance(reference, HubModel):
        return hub_models.pin(reference)
    if isinstance(reference, RegistryModel):
        return registered.pin(reference)
    return _pin_of_files(reference)


def materialise(pin: Pin) -> Path:
    """A local directory with the pinned model's files, from the cache if they are there; not to be written to.

    Raises what ``pin`` raises, and DamagedArtifact if the files have changed since they were pinned.
    """
    reference = parse(pin.reference)
    if isinstance(reference, Adapter):
        return _merged(reference, pin.fingerprint)
    if isinstance(reference, HubModel):
        return hub_models.fetch(reference)
    if isinstance(reference, RegistryModel):
        return registered.fetch(reference, pin.fingerprint)
    if (now := _pin_of_files(reference)).fingerprint != pin.fingerprint:
        were, are = pin.fingerprint[:23], now.fingerprint[:23]
        msg = f"model {pin.reference}: its files have changed since it was pinned ({were}, now {are}); put them back, or run again"
        raise DamagedArtifact(msg)
    return _artifact(pin) if pin.kind == "artifact" else directories.fetch(reference.uri)


def _pin_of_files(reference: DirectoryModel | ArtifactModel) -> Pin:
    """An artifact if a manifest lies there, else a directory."""
    uri = store.absolute(reference.uri)
    manifest = manifests.find(uri)
    if manifest is not None:
        return Pin("artifact", uri, manifest.fingerprint)
    if isinstance(reference, ArtifactModel) and not store.store_of(uri).names(uri):
        manifests.load(uri, "model")  # raises MissingInput: nothing is published there
    return directories.pin(uri)


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
    base, adapter = (materialise(pin(part)) for part in (reference.base, reference.adapter))
    adapter_merging.require_fit(base, adapter, str(reference))
    return filled(
        f"merged/{_digest(fingerprint)}", lambda directory: adapter_merging.merge(base, adapter, directory, str(reference))
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
