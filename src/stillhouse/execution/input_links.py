"""The inputs of one execution: URIs by name -> checked links to artifacts -> local directories."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Link
from stillhouse.artifacts.scratch import fresh_directory
from stillhouse.errors import BadConfig, DamagedArtifact, MissingInput
from stillhouse.execution.contract import Stage, StageInputs, input_names
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.stage_names import STAGE_NAMES

REUSED = "previous"
"""The input whose rows are reused instead of made again. It changes no row, so it never enters a fingerprint."""
LAST = "latest"
"""As the URI of ``previous``: the version published last."""


def resolved(stage: Stage, inputs: Mapping[str, str | Sequence[str]], output: str) -> dict[str, list[Link]]:
    """The links of all inputs. Raises BadConfig for one that the stage does not take, MissingInput for one that is not there."""
    listed = {name: [uris] if isinstance(uris, str) else list(uris) for name, uris in inputs.items()}
    return _links(stage, {name: [store.absolute(uri) for uri in uris] for name, uris in _with_latest(listed, output).items()})


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


def _links(stage: Stage, inputs: Mapping[str, Sequence[str]]) -> dict[str, list[Link]]:
    """Check the inputs' names and counts against the stage's ``Inputs``, and read their manifests."""
    known = input_names(stage.Inputs)
    for name in inputs:
        if name not in known:
            msg = f"--input {name}=…: {stage_word(stage)} takes no such input; its inputs: {', '.join(known) or 'none'}"
            raise BadConfig(msg)
    for name, kind in known.items():
        uris = inputs.get(name, ())
        if not uris and kind != "optional" and not (kind == "many" and name in _defaulted(stage.Inputs)):
            msg = f"{stage_word(stage)} needs --input {name}=URI, got none"
            raise MissingInput(msg)
        if len(uris) > 1 and kind != "many":
            msg = f"--input {name}=…: given {len(uris)} times; {stage_word(stage)} takes one"
            raise BadConfig(msg)
    return {name: [_link(name, uri) for uri in uris] for name, uris in inputs.items()}


def _defaulted(inputs_type: type[StageInputs]) -> set[str]:
    return {field.name for field in dataclasses.fields(inputs_type) if field.default is not dataclasses.MISSING}


def stage_word(stage: Stage) -> str:
    """The stage's one word: the name of its module."""
    return stage.__name__.rsplit(".", 1)[-1]


def _link(name: str, uri: str) -> Link:
    """The input's fingerprint. Raises MissingInput if the input is named after another stage than the one that made it."""
    manifest = manifests.load(uri, f"input {name}")
    if name in STAGE_NAMES and manifest.stage in STAGE_NAMES and manifest.stage != name:
        msg = f"--input {name}={uri}: got a {manifest.stage} artifact; give the URI of a {name} artifact"
        raise MissingInput(msg)
    return Link(uri=uri, fingerprint=manifest.fingerprint)


def fetch(name: str, link: Link, scratch: Path) -> Path:
    """A local directory with the checked files of input ``name``: those that its manifest lists, no others."""
    return integrity.fetch(link.uri, scratch / "inputs", label=f"input {name}")


def arguments(stage: Stage, fetched: Mapping[str, list[Path]], scratch: Path) -> dict[str, Any]:
    """The fetched inputs as the stage's ``Inputs`` declares them; one that this step does not read is an empty directory."""
    values: dict[str, Any] = {}
    for name, kind in input_names(stage.Inputs).items():
        if paths := fetched.get(name):
            values[name] = tuple(paths) if kind == "many" else paths[0]
        elif kind == "one":
            values[name] = fresh_directory(scratch / "inputs")
        elif kind == "many" and name not in _defaulted(stage.Inputs):
            values[name] = ()
    return values
