"""A stage's inputs: their names checked, what they are made of, their files on this machine."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Link, ModelLink
from stillhouse.errors import BadConfig, DamagedArtifact, MissingInput
from stillhouse.execution import processes
from stillhouse.execution.contract import ModelSource, Stage, StageInputs, input_names, model_inputs, word
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.stage_names import STAGE_NAMES

REUSED = "previous"
"""The input whose rows are reused instead of made again. It changes no row, so it never enters a fingerprint."""
LAST = "latest"
"""As the URI of ``previous``: the version published last."""


def linked(stage: Stage, inputs: Mapping[str, Sequence[str]], output: str, models: ModelSource | None) -> dict[str, list[Link]]:
    """Check the inputs' names and counts against the stage's ``Inputs``, and read what they are made of; all ranks.

    A model that is no artifact is pinned for the run of this output. Raises BadConfig or MissingInput.
    """
    inputs = _with_latest(inputs, output)
    _check_names(stage, inputs)
    takes_models = model_inputs(stage.Inputs) if models else set()

    def link(name: str, uri: str) -> Link:
        if models is None or name not in takes_models:
            return _link(name, store.absolute(uri))
        model = models.pin_input(uri, output)
        return _link(name, model.uri) if model.kind == "artifact" else model

    return processes.from_first(lambda: {name: [link(name, uri) for uri in uris] for name, uris in inputs.items()})


def _with_latest(inputs: Mapping[str, Sequence[str]], output: str) -> dict[str, Sequence[str]]:
    """The inputs with ``previous=latest`` replaced by what it stands for; without it if there is no other version."""
    if list(inputs.get(REUSED, ())) != [LAST]:
        return dict(inputs)
    latest = manifests.latest(output)
    others = {name: uris for name, uris in inputs.items() if name != REUSED}
    return others | ({REUSED: [latest]} if latest is not None and latest != output and _is_usable(latest) else {})


def _is_usable(latest: str) -> bool:
    """Whether there is work to spare: a version that was removed, damaged or made by an earlier release is no reason to fail."""
    try:
        return manifests.find(latest) is not None
    except DamagedArtifact as error:
        print(f"  {REUSED}={LAST} is left out: {one_line(error)}", file=sys.stderr, flush=True)
        return False


def _check_names(stage: Stage, inputs: Mapping[str, Sequence[str]]) -> None:
    """Check the inputs' names and counts against the stage's ``Inputs``."""
    known = input_names(stage.Inputs)
    for name in inputs:
        if name not in known:
            msg = f"--input {name}=…: {word(stage)} takes no such input; its inputs: {', '.join(known) or 'none'}"
            raise BadConfig(msg)
    for name, kind in known.items():
        uris = inputs.get(name, ())
        if not uris and kind != "optional" and not (kind == "many" and name in _defaulted(stage.Inputs)):
            msg = f"{word(stage)} needs --input {name}=URI, got none"
            raise MissingInput(msg)
        if len(uris) > 1 and kind != "many":
            msg = f"--input {name}=…: given {len(uris)} times; {word(stage)} takes one"
            raise BadConfig(msg)


def _defaulted(inputs_type: type[StageInputs]) -> set[str]:
    return {field.name for field in dataclasses.fields(inputs_type) if field.default is not dataclasses.MISSING}


def _link(name: str, uri: str) -> Link:
    """The input's fingerprint. Raises MissingInput if the input is named after another stage than the one that made it."""
    manifest = manifests.load(uri, f"input {name}")
    if name in STAGE_NAMES and manifest.stage in STAGE_NAMES and manifest.stage != name:
        msg = f"--input {name}={uri}: got a {manifest.stage} artifact; give the URI of a {name} artifact"
        raise MissingInput(msg)
    return Link(uri=uri, fingerprint=manifest.fingerprint)


def fetch(name: str, link: Link, scratch: Path, models: ModelSource | None = None) -> Path:
    """A local directory with the checked files of input ``name``: those that its manifest lists, no others.

    A model that is no artifact lies in the cache or where it was named.
    """
    if isinstance(link, ModelLink) and models is not None:
        return models.directory(link)
    return integrity.fetch(link.uri, scratch / "inputs", label=f"input {name}")


def arguments(stage: Stage, fetched: Mapping[str, list[Path]]) -> dict[str, Any]:
    """The fetched inputs in the form the stage's ``Inputs`` declares."""
    known = input_names(stage.Inputs)
    return {name: tuple(paths) if known[name] == "many" else paths[0] for name, paths in fetched.items() if paths}
