"""Models in MLflow's registry: which version an alias stands for, and its files."""

import hashlib
import shutil
from pathlib import Path

from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import MissingInput
from stillhouse.execution import mlflow_models
from stillhouse.execution.mlflow_runs import address
from stillhouse.models.cache import filled
from stillhouse.models.pins import Pin
from stillhouse.models.references import RegistryModel

FLAVOUR = "MLmodel"
"""The file by which MLflow knows a model that one of its flavours logged."""


def pin(model: RegistryModel) -> Pin:
    """The version that an alias stands for now. A version that ``registry`` made is the artifact it was made from.

    Raises MissingInput for an unknown model, version or alias, TrackingFailed if MLflow does not answer.
    """
    mlflow_models.require_server(f"model {model}")
    registered = mlflow_models.tags_of(model.name, model.alias or "", model.version or "")
    if registered is None:
        raise MissingInput(_absent(model))
    version, tags = registered
    uri, fingerprint = tags.get("checkpoint", ""), tags.get("fingerprint", "")
    if uri and (manifest := manifests.find(uri)) is not None and manifest.fingerprint == fingerprint:
        return Pin("artifact", uri, fingerprint)
    source = mlflow_models.source_of(model.name, version)
    return Pin("registry", f"models:/{model.name}/{version}", fingerprint or f"{model.name}/{version}-{_digest(source)}")


def fetch(model: RegistryModel, fingerprint: str) -> Path:
    """The local directory in the Hugging Face format, downloaded once by all processes that share the cache."""

    def fill(directory: Path) -> None:
        mlflow_models.download(model.name, str(model.version), directory)
        if (directory / FLAVOUR).is_file():
            _lift(directory, str(model))

    return filled(f"registry/{model.name}/{model.version}-{_digest(fingerprint)}", fill)


def _lift(directory: Path, label: str) -> None:
    """Turn what MLflow's flavour ``transformers`` logs (``model/``, ``components/tokenizer/``) into one directory."""
    if not (directory / "model" / "config.json").is_file():
        msg = f"model {label}: it was not logged by MLflow's flavour transformers; register a directory in the Hugging Face format"
        raise MissingInput(msg)
    for part in (directory / "components" / "tokenizer", directory / "model"):
        for path in sorted(part.iterdir()) if part.is_dir() else ():
            shutil.move(path, directory / path.name)


def _absent(model: RegistryModel) -> str:
    """What MLflow has instead of the model that was asked for."""
    aliases = mlflow_models.aliases_of(model.name)
    where = f"MLflow at {address()}"
    if aliases is None:
        return f"model {model}: {where} has no registered model {model.name}; check the name in its list of models"
    if model.version:
        return f"model {model}: {where} has no version {model.version} of {model.name}; name another"
    known = ", ".join(f"{alias} (version {version})" for alias, version in sorted(aliases.items())) or "none"
    return f"model {model}: no version of {model.name} has the alias {model.alias}; its aliases: {known}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
