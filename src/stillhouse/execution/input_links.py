"""The inputs of one execution: URIs by name -> checked links to artifacts -> local directories."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Link, ModelLink
from stillhouse.artifacts.scratch import fresh_directory
from stillhouse.errors import BadConfig, DamagedArtifact, MissingInput
from stillhouse.execution import processes
from stillhouse.execution.contract import ModelSource, Stage, StageInputs, input_names, model_inputs
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.stage_names import STAGE_NAMES

REUSED = "previous"
"""The input whose rows are reused instead of made again. It changes no row, so it never enters a fingerprint."""
LAST = "latest"
"""As the URI of ``previous``: the version published last."""


def resolved(
    stage: Stage, inputs: Mapping[str, str | Sequence[str]], output: str, models: ModelSource | None
) -> dict[str, list[Link]]:  # fmt: skip
    """The links of all inputs; a model that is no artifact is pinned for the run of this output; all ranks.

    Raises BadConfig for an input that the stage does not take, MissingInput for one that is not there.
    """
    named = _with_latest({name: [uris] if isinstance(uris, str) else list(uris) for name, uris in inputs.items()}, output)
    _check_names(stage, named)
    takes_models = model_inputs(stage.Inputs) if models else set()

    def link(name: str, uri: str) -> Link:
        if models is None or name not in takes_models:
            return _link(name, store.absolute(uri))
        model = models.pin_input(uri, output)
        return _link(name, model.uri) if model.kind == "artifact" else model

    return processes.from_first(lambda: {name: [link(name, uri) for uri in uris] for name, uris in named.items()})


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


def _defaulted(inputs_type: type[StageInputs]) -> set[str]:
    return {field.name for field in dataclasses.fields(inputs_type) if field.default is not dataclasses.MISSING}


def recorded(links: Mapping[str, Sequence[Link]], named: Mapping[str, ModelLink]) -> dict[str, Any]:
    """The manifest's inputs, which are artifacts, and its models, which are not; ``named`` are those of the config."""
    given = {name: link for name, uris in links.items() for link in uris if isinstance(link, ModelLink)}
    return {"inputs": {name: list(uris) for name, uris in links.items() if name not in given}, "models": given | dict(named)}


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
