"""Run a stage on artifacts of a store, as the command line does."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse import stages
from stillhouse.errors import BadConfig
from stillhouse.execution.contract import parse_shard
from stillhouse.execution.execute import Result, execute
from stillhouse.execution.recipes import nearest_recipe, recipes, resolve, resolve_values
from stillhouse.models import resolving
from stillhouse.vocabulary.settings import StageConfig

URIs = str | Path | Sequence[str | Path]
"""One artifact's URI or path, or several."""


def run(
    stage: str,
    config: StageConfig | Mapping[str, Any] | str | None = None,
    *,
    inputs: Mapping[str, URIs] | None = None,
    output: str | Path,
    shard: str | None = None,
    resume: bool = False,
) -> Result:
    """Make a stage's output and publish it, unless it is already published.

    Args:
        stage: Name of the stage, such as ``"verified"``.
        config: A config, a dict of its fields, a packaged recipe such as ``"laptop/sft-1"``, ``"@file.yaml"``, or None for the
            defaults.
        inputs: Input name -> URI of an artifact, or a list of URIs for an input that takes several. A model may be any reference.
        output: Where the artifact goes: ``{root}/{stage}/{name}/{version}``.
        shard: ``"0/4"`` works on the first quarter of the keys only.
        resume: Fail if no earlier try left anything to continue from.

    Returns:
        The manifest, and whether the output was already there (``skipped``).

    Raises:
        BadConfig: Unknown stage, recipe, field or input (the message names the nearest), or a shard of a stage without shards.
        MissingInput: An input is missing or not published.
        StaleOutput: The output holds the result of another config or other inputs.
        StillhouseError: Whatever else the stage raises.
    """
    if shard:
        stages.refuse_shard(stage)
    module = stages.load(stage)
    named = {name: _uris(name, uris) for name, uris in (inputs or {}).items()}
    share = parse_shard(shard) if shard else None
    return execute(module, _config(module.Config, config), named, str(output), share, resume=resume, models=resolving)


def load_recipe(name: str) -> StageConfig:
    """The config of a packaged recipe.

    Args:
        name: ``"PROFILE/STAGE"`` or ``"PROFILE/STAGE-SUFFIX"``, such as ``"laptop/sft-1"``.

    Returns:
        The stage's config; ``config.model_copy(update={…})`` changes fields.

    Raises:
        BadConfig: The recipe is unknown; the message names the nearest.
    """
    name = name.removeprefix("@")
    known = recipes()
    if name not in known:
        msg = f"no recipe {name!r}; {nearest_recipe(name)}"
        raise BadConfig(msg)
    return resolve(stages.config_of(known[name].stem.partition("-")[0]), [f"@{name}"])


def _config(config_type: type[StageConfig], config: StageConfig | Mapping[str, Any] | str | None) -> StageConfig:
    if config is None or isinstance(config, Mapping):
        return resolve_values(config_type, config or {})
    if isinstance(config, str):
        return resolve(config_type, [config if config.startswith(("@", "{")) else f"@{config}"])
    if isinstance(config, config_type):
        return config
    msg = f"config: a {type(config).__name__} is not a {config_type.__name__}; give one, a dict of its fields, or a recipe's name"
    raise TypeError(msg)


def _uris(name: str, uris: URIs) -> list[str]:
    if isinstance(uris, str | Path):
        return [str(uris)]
    if isinstance(uris, Sequence) and all(isinstance(uri, str | Path) for uri in uris):
        return [str(uri) for uri in uris]
    msg = f"inputs[{name!r}]: {json.dumps(uris, default=repr)} is not a URI; give a URI or a list of URIs"
    raise TypeError(msg)
