"""The grammar of model references, without looking anything up.

========================================  ==============================================
``hf://ORG/NAME[@REVISION]``              a model on the Hugging Face hub
``/DIR``, ``./DIR``, ``s3://BUCKET/DIR``  a directory in the Hugging Face format
``models:/NAME@ALIAS``, ``…/VERSION``     a version in MLflow's registry
``{root}/sft/NAME/VERSION``, ``…/rl/…``   an artifact of ours
``BASE+ADAPTER``                          a LoRA adapter on a base, both of the forms above
========================================  ==============================================
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from stillhouse.errors import BadConfig
from stillhouse.vocabulary.text import shortened

HUB, REGISTRY = "hf://", "models:/"
STARTS = ("hf:", "models:", "s3://", "file://", "/", "./", "../", "~")
"""How a reference begins; anything else is the name of a model at an endpoint, or of a recipe."""
FORMS = "hf://ORG/NAME[@REVISION], a directory, s3://BUCKET/DIR, models:/NAME@ALIAS or models:/NAME/VERSION"
COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit hash: a revision that never moves."""

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
"""``ORG/NAME``."""
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
_NAME = re.compile(r"[^/@:\s]+")
_ARTIFACT = re.compile(r"/(?:sft|rl)/[^/]+/[^/]+$")
_PLUS = re.compile(r"\+(?=hf://|models:/|s3://|file://|/|\./|\.\./|~)")


PinnedCode = Annotated[str, Field(pattern=r"^hf://[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*@[0-9a-f]{40}$")]
"""A hub model at one commit, ``hf://ORG/NAME@COMMIT`` with all forty digits: the only form in which its own code may be trusted."""


@dataclass(frozen=True)
class HubModel:
    """A model on the Hugging Face hub."""

    repo: str
    """``ORG/NAME``."""
    revision: str | None = None
    """A branch, a tag or a commit; None is the hub's default branch."""

    def __str__(self) -> str:
        """``hf://ORG/NAME@REVISION``."""
        return f"{HUB}{self.repo}{f'@{self.revision}' if self.revision else ''}"

    @property
    def fixed(self) -> bool:
        """Whether the reference means the same model for ever."""
        return bool(self.revision and COMMIT.fullmatch(self.revision))


@dataclass(frozen=True)
class DirectoryModel:
    """A directory in the Hugging Face format, on a disk or on S3."""

    uri: str
    digest: str | None = None
    """``sha256-…`` of its files, if they must be these; None takes what lies there."""

    def __str__(self) -> str:
        """The path or URI, with ``@sha256-…`` if it has a digest."""
        return f"{self.uri}{f'@{self.digest}' if self.digest else ''}"


@dataclass(frozen=True)
class RegistryModel:
    """A version in MLflow's registry, by its number or by an alias: exactly one of the two."""

    name: str
    alias: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        """``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``."""
        return f"{REGISTRY}{self.name}" + (f"@{self.alias}" if self.alias else f"/{self.version}")


@dataclass(frozen=True)
class ArtifactModel:
    """What lies where the stages ``sft`` and ``rl`` publish: an artifact, if it has a manifest."""

    uri: str

    def __str__(self) -> str:
        """The URI as it was written."""
        return self.uri


Whole = HubModel | DirectoryModel | RegistryModel | ArtifactModel


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter, and the model it was trained on."""

    base: Whole
    adapter: Whole

    def __str__(self) -> str:
        """``BASE+ADAPTER``."""
        return f"{self.base}+{self.adapter}"


Reference = Whole | Adapter


def is_reference(text: str) -> bool:
    """Whether the text names a model by where it lies, not by its name at an endpoint."""
    return text.startswith(STARTS)


def parse(text: str) -> Reference:
    """The reference in ``text``. Raises BadConfig, in one line, if it is malformed. Nothing is looked up."""
    parts = _PLUS.split(text)
    if len(parts) > 2:
        msg = f"{_shown(text)}: more than one adapter; merge them, or write BASE+ADAPTER"
        raise BadConfig(msg)
    models = [_whole(part) for part in parts]
    return models[0] if len(models) == 1 else Adapter(*models)


def is_artifact(uri: str) -> bool:
    """Whether a pinned reference may be an artifact of a store, with a manifest to look for."""
    return uri.startswith(("file://", "s3://")) and not _PLUS.search(uri)


def refuse_malformed(text: str) -> str:
    """The text, for a field that names a model by a reference or by its name at an endpoint. Raises ValueError, for pydantic."""
    if is_reference(text):
        try:
            parse(text)
        except BadConfig as error:
            raise ValueError(str(error)) from error
    return text


def name_of(text: str) -> str:
    """A short name for the model, for rows and pages: ``ORG/NAME``, the directory's, the registered model's or artifact's name.

    A text that is no reference names itself.
    """
    return _name(parse(text)) if is_reference(text) else text


def _name(reference: Reference) -> str:
    if isinstance(reference, Adapter):
        return f"{_name(reference.base)}+{_name(reference.adapter)}"
    if isinstance(reference, HubModel):
        return reference.repo
    if isinstance(reference, RegistryModel):
        return reference.name
    segments = reference.uri.rstrip("/").split("/")
    return segments[-2 if isinstance(reference, ArtifactModel) else -1]


def _whole(text: str) -> Whole:
    if not text.isprintable() or text != text.strip():
        msg = f"model {_shown(text)}: spaces around it or control characters; write {FORMS}"
        raise BadConfig(msg)
    if text.startswith("hf:"):
        return _hub(text)
    if text.startswith("models:"):
        return _registry(text)
    if not is_reference(text) or not text.rstrip("/"):
        hint = f"a model on the hub is written {HUB}{text}" if REPO.fullmatch(text) else f"write {FORMS}"
        msg = f"model {_shown(text)}: not a model reference; {hint}"
        raise BadConfig(msg)
    uri, _, digest = text.partition("@sha256-")
    uri = uri.rstrip("/")
    if digest:
        return DirectoryModel(uri, f"sha256-{digest}")
    return ArtifactModel(uri) if _ARTIFACT.search(uri) else DirectoryModel(uri)


def _hub(text: str) -> HubModel:
    repo, at, revision = text.removeprefix(HUB).partition("@")
    if not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        msg = f"model {_shown(text)}: not of the form {HUB}ORG/NAME[@REVISION], such as {HUB}Qwen/Qwen2.5-7B-Instruct@main"
        raise BadConfig(msg)
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        msg = f"model {_shown(text)}: {_shown(revision)} is no revision; name a branch, a tag or a commit after @, or leave out @"
        raise BadConfig(msg)
    return HubModel(repo, revision or None)


def _registry(text: str) -> RegistryModel:
    path, at, alias = text.removeprefix(REGISTRY).partition("@")
    name, slash, version = path.partition("/")
    by_alias, by_version = at and not slash and _NAME.fullmatch(alias), slash and not at and version.isdecimal()
    if not text.startswith(REGISTRY) or not _NAME.fullmatch(name) or not (by_alias or by_version):
        msg = f"model {_shown(text)}: not of the form models:/NAME@ALIAS or models:/NAME/VERSION, such as models:/qwen@champion"
        raise BadConfig(msg)
    return RegistryModel(name, alias or None, version or None)


def _shown(text: str) -> str:
    return shortened(text, 200) if text.isprintable() and text else repr(shortened(text, 200))
