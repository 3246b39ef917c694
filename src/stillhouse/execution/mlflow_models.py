"""MLflow's registry of models: versions, aliases, tags. An unreachable server is asked again for a while; then it is an error."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stillhouse.errors import TrackingFailed, TrackingRefused
from stillhouse.execution.mlflow_runs import Away, Denied, Refused, address, client, errors_by_kind, refusal
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.patience import retried

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")

PATIENCE_S = 30.0
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def register(
    name: str, checkpoint: Path, uri: str, run_id: str | None, identity: Mapping[str, str], tags: Mapping[str, str],
    description: str = "",
) -> str:  # fmt: skip
    """Register a checkpoint as a new version of the model ``name``. Returns the version.

    A version with the tags of ``identity`` is not made again: an earlier try registered it and was ended before it could say so.
    It gets the other ``tags`` and the description, which may have changed since: another champion was there. On S3 the version
    points at the artifact itself; a server accepts local files only through the run that logged them, so there the checkpoint is
    logged to the run first. Raises TrackingFailed, or TrackingRefused where the server refuses the credentials.
    """
    local = uri.startswith("file://")
    if local and run_id is None:
        msg = f"{name}: MLflow at {address()} did not create the run that the checkpoint is logged to; run the stage again"
        raise TrackingFailed(msg)

    def once(mlflow: "MlflowClient") -> str:
        _create_model(mlflow, name)
        for version in mlflow.search_model_versions(f"name='{name}'"):
            if identity and dict(version.tags).items() >= dict(identity).items():
                _retell(mlflow, name, version, tags, description)
                return str(version.version)
        if local:
            mlflow.log_artifacts(str(run_id), str(checkpoint), "checkpoint")
        source = f"runs:/{run_id}/checkpoint" if local else uri
        created = mlflow.create_model_version(name, source, run_id, tags={**identity, **tags}, description=description or None)
        return str(created.version)

    return _answered(once)


def set_alias(name: str, alias: str, version: str) -> None:
    """Point an alias of the model at a version."""
    _answered(lambda mlflow: mlflow.set_registered_model_alias(name, alias, version))


def set_version_tag(name: str, version: str, key: str, value: str) -> None:
    """Tag a version of the model."""
    _answered(lambda mlflow: mlflow.set_model_version_tag(name, version, key, value))


def tags_of(name: str, alias: str, version: str = "") -> tuple[str, dict[str, str]] | None:
    """The version an alias points at, or the named one, and its tags; None if it, the alias or the model does not exist."""
    from mlflow.exceptions import RestException

    def once(mlflow: "MlflowClient") -> tuple[str, dict[str, str]] | None:
        try:
            entry = mlflow.get_model_version(name, version) if version else mlflow.get_model_version_by_alias(name, alias)
        except RestException as error:
            if error.error_code in _ABSENT:
                return None
            raise
        return str(entry.version), dict(entry.tags)

    return _answered(once)


def aliases_of(name: str) -> dict[str, str] | None:
    """The aliases of a registered model, each with its version; None if there is no such model."""
    from mlflow.exceptions import RestException

    def once(mlflow: "MlflowClient") -> dict[str, str] | None:
        try:
            return {alias: str(version) for alias, version in mlflow.get_registered_model(name).aliases.items()}
        except RestException as error:
            if error.error_code in _ABSENT:
                return None
            raise

    return _answered(once)


def source_of(name: str, version: str) -> str:
    """What tells this version from one of the same number on another server, or after the model was made anew."""

    def once(mlflow: "MlflowClient") -> str:
        entry = mlflow.get_model_version(name, version)
        return f"{entry.source} {entry.run_id} {entry.creation_timestamp}"

    return _answered(once)


def download(name: str, version: str, directory: Path) -> None:
    """Bring the files of a version into a directory that is there. Raises TrackingFailed if they cannot be had."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=str(directory), tracking_uri=address())
    except (MlflowException, OSError) as error:
        msg = f"models:/{name}/{version}: MLflow at {address()} does not hand out its files ({one_line(error)}); check its source"
        raise TrackingFailed(msg) from error


def require_server(feature: str) -> None:
    """Raise TrackingRefused if no MLflow server is named."""
    if not environment.text("MLFLOW_TRACKING_URI"):
        msg = f"{feature} needs an MLflow server, and MLFLOW_TRACKING_URI is not set; `make up` starts one and prints its URL"
        raise TrackingRefused(msg)


def _retell(mlflow: "MlflowClient", name: str, version: "ModelVersion", tags: Mapping[str, str], description: str) -> None:
    """Have a version that an earlier try registered say what this one decided."""
    for key, value in tags.items():
        if version.tags.get(key) != value:
            mlflow.set_model_version_tag(name, version.version, key, value)
    if description and version.description != description:
        mlflow.update_model_version(name, version.version, description)


def _create_model(mlflow: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import RestException

    try:
        mlflow.create_registered_model(name)
    except RestException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _answered(call: Callable[["MlflowClient"], T]) -> T:
    """What the call returns, tried again while the server is away. Raises TrackingFailed or TrackingRefused."""
    mlflow = client()

    def once() -> T:
        with errors_by_kind():
            return call(mlflow)

    patience_s = environment.number("STILLHOUSE_TRACKING_PATIENCE_S", PATIENCE_S)
    try:
        return retried(once, until_s=time.monotonic() + patience_s, is_refusal=lambda error: not isinstance(error, Away))
    except Denied as error:
        raise refusal(error) from error
    except (Away, Refused) as error:
        msg = f"MLflow at {address()}: {error}; check MLFLOW_TRACKING_URI and that the server runs (`make up`)"
        raise TrackingFailed(msg) from error
