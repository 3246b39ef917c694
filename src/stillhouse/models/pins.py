"""A pin: which model a reference means, fixed. A reference that can move is resolved once in a run, for all of its tasks.

What moves is a branch, a tag, a hub's default branch, an alias of MLflow's registry. The first task of a run that meets one writes
what it stands for below ``{root}/pins/{version}/``, beside the outputs of that version; later tasks and later tries read it there.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import StoredModel
from stillhouse.artifacts.storage import AlreadyThere
from stillhouse.errors import DamagedArtifact
from stillhouse.models.references import Reference

Kind = Literal["hub", "directory", "registry", "artifact", "adapter"]
PINS = "pins"


@dataclass(frozen=True)
class Pin:
    """One model, fixed."""

    kind: Kind
    reference: str
    """Names the same model for ever: ``hf://ORG/NAME@COMMIT``, ``models:/NAME/VERSION``, or where the files lie."""
    fingerprint: str
    """What enters fingerprints: the commit, a digest of all files, the version's or the artifact's fingerprint; never a path."""


class PinRecord(StoredModel):
    """What a reference stood for when the run of a version began."""

    named: str
    kind: Kind
    reference: str
    fingerprint: str

    def pin(self) -> Pin:
        """The pin that was recorded."""
        return Pin(self.kind, self.reference, self.fingerprint)


def once(output: str, reference: Reference, resolve: Callable[[], Pin]) -> Pin:
    """The pin that the run of this output's version agreed on; ``resolve`` is called if the run has none yet.

    ``output`` is ``{root}/{stage}/{name}/{version}``. Raises DamagedArtifact for a record that was edited.
    """
    root, _, _, version = output.rsplit("/", 3)
    where = store.join(root, PINS, version, f"{hashlib.sha256(str(reference).encode()).hexdigest()[:16]}.json")
    data = store.store_of(output).read(where)
    if data is None:
        pin = resolve()
        record = PinRecord(named=str(reference), kind=pin.kind, reference=pin.reference, fingerprint=pin.fingerprint)
        try:
            store.store_of(output).write(where, record.model_dump_json().encode(), only_if_absent=True)
        except AlreadyThere:  # another task of the run was first
            data = store.store_of(output).read(where)
        else:
            return pin
    try:
        return PinRecord.model_validate_json(data or b"").pin()
    except ValidationError as error:
        msg = f"{where} is no record of a pin: was it edited? remove it, and {reference} is resolved again"
        raise DamagedArtifact(msg) from error
