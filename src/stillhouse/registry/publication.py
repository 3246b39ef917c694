"""Publish an artifact on the Hugging Face hub: a checkpoint as a model, rows as a data set, each with its card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, get_token

from stillhouse.artifacts import integrity, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.errors import BadConfig
from stillhouse.exchange.export import export
from stillhouse.models import hub_models
from stillhouse.models.references import HUB, HubModel, parse
from stillhouse.registry import model_card, model_files

WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Published:
    """What was published, and where."""

    kind: Literal["model", "dataset"]
    url: str
    commit: str
    files: int


def publish(uri: str, target: str, *, form: str = "conversations", report: str | None = None, private: bool = False) -> Published:
    """Push the artifact at ``uri`` to ``hf://ORG/NAME[@BRANCH]``, in one commit; a missing repository or branch is made.

    Rows go out in the schema ``form``, as ``stillhouse export`` writes a folder, with every split.
    ``report``: the report whose scores a model's card shows. Raises BadConfig for another target or without a token, MissingInput
    if the hub refuses, HubFailed if it does not answer.
    """
    where = _target(target)
    manifest = manifests.load(uri)
    kind: Literal["model", "dataset"] = "model" if any(name.endswith(WEIGHTS) for name in manifest.files) else "dataset"
    with scratch_directory() as scratch:
        name = where.repo.rpartition("/")[2]
        folder = scratch / "published" / name
        if kind == "model":
            card = model_card.render(name, store.absolute(uri), report)
            model_files.gathered(integrity.fetch(uri, scratch), card, folder)
        else:
            export([uri], form, f"{folder}/")
        message = f"{manifest.stage} {manifest.fingerprint}"
        commit = hub_models.answered(where, lambda: _push(where, kind, folder, message, private=private))
        url = f"{hub_models.endpoint()}/{'datasets/' if kind == 'dataset' else ''}{where.repo}"
        return Published(kind, url, commit, sum(path.is_file() for path in folder.rglob("*")))


def _target(target: str) -> HubModel:
    reference = parse(target) if target.startswith(HUB) else None
    if not isinstance(reference, HubModel):
        msg = f"publish to {target}: not a place on the hub; write {HUB}ORG/NAME or {HUB}ORG/NAME@BRANCH"
        raise BadConfig(msg)
    if hub_models.is_offline():
        msg = f"publish to {target}: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset both"
        raise BadConfig(msg)
    if get_token() is None:
        msg = f"publish to {target}: there is no token; set HF_TOKEN to one that may write there"
        raise BadConfig(msg)
    return reference


def _push(where: HubModel, kind: str, folder: Path, message: str, *, private: bool) -> str:
    """Make what is missing, and commit the folder; returns the commit."""
    api = HfApi(endpoint=hub_models.endpoint(), library_name="stillhouse")
    api.create_repo(where.repo, repo_type=kind, private=private, exist_ok=True)
    if where.revision:
        api.create_branch(where.repo, repo_type=kind, branch=where.revision, exist_ok=True)
    commit = api.upload_folder(
        repo_id=where.repo, repo_type=kind, folder_path=folder, revision=where.revision, commit_message=message
    )  # fmt: skip
    return str(commit.oid)
