"""Versioned records: JSON files that one stage writes beside its rows and later stages read."""

from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.errors import BadRows, MissingInput


class VersionedRecord(BaseModel):
    """Base of all records. A subclass names its file, and declares ``version: Literal[N] = N``; raise N when the shape changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    FILE: ClassVar[str]

    version: Any

    def write(self, directory: Path) -> str:
        """Write the record into a directory; returns the file's name."""
        (directory / self.FILE).write_text(self.model_dump_json(), encoding="utf-8")
        return self.FILE

    @classmethod
    def parse(cls, data: bytes, where: str) -> Self:
        """The record in ``data``, the content of the file ``where``. Raises BadRows if its version or shape differs."""
        supported = cls.model_fields["version"].default
        try:
            content = from_json(data)
        except ValueError as error:
            msg = f"{where} is not JSON ({error}); make the artifact again under another version"
            raise BadRows(msg) from error
        version = content.get("version") if isinstance(content, dict) else None
        if version != supported:
            msg = (
                f"{where} has {'no record version' if version is None else f'record version {version!r}'}, this release reads "
                f"{supported}: another release wrote it; make the artifact again under another version"
            )
            raise BadRows(msg)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            field = "/".join(map(str, first["loc"]))
            msg = f"{where} is not a valid {cls.__name__}: {field}: {first['msg']}; was it edited? make the artifact again"
            raise BadRows(msg) from error


Record = TypeVar("Record", bound=VersionedRecord)


def read(record: type[Record], uri: str, name: str | None = None) -> Record:
    """The record of an artifact; ``name`` is its path if that is not the artifact's root, as in a shard.

    Raises MissingInput if the artifact holds no such file, BadRows if another release wrote it.
    """
    where = store.join(uri, name or record.FILE)
    data = manifests.read_file(uri, name or record.FILE)
    if data is None:
        msg = f"{where} does not exist; make the artifact again, or name another one"
        raise MissingInput(msg)
    return record.parse(data, where)
