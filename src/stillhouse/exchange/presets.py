"""The mappings of public data sets, by name: ``presets.yaml``, read once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True)
class PublicDataset:
    """What is known of a public data set."""

    hub: str
    """Its name on the Hugging Face hub."""
    license: str
    subset: str | None = None
    split: str = "train"
    form: str | None = None
    """The release schema of its rows, in place of a mapping."""
    mapping: dict[str, Any] = field(default_factory=dict)
    """The fields of ``config.Mapping``, or of a release source."""


@cache
def presets() -> Mapping[str, PublicDataset]:
    """The public data sets by their preset's name."""
    table = yaml.safe_load((files("stillhouse.exchange") / "presets.yaml").read_text(encoding="utf-8"))
    facts = ("hub", "license", "subset", "split", "form")
    return {
        name: PublicDataset(
            **{key: entry[key] for key in facts if key in entry},
            mapping={key: value for key, value in entry.items() if key not in facts},
        )
        for name, entry in table.items()
    }  # fmt: skip
