"""Profiles: a folder of recipes with a ``profile.yaml`` that says which pipeline they follow, with which models, and where.

``{folder}/profile.yaml`` is a ``Profile``, ``{folder}/{stage}[-{suffix}].yaml`` a recipe. Airflow makes a DAG of each profile and
names it after the folder.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution import cron, profile_folders, recipes
from stillhouse.execution.pipelines import PIPELINES

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SIZE = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*)(Mi|Gi|Ti|M|G|T)$"
"""An amount of memory above zero, as Kubernetes writes it."""
PIN = r"^([0-9a-f]{40}|sha256-[0-9a-f]{12,64})$"
"""The data of a published benchmark: a commit of its data set on the hub, or the digest of its file."""
MOST_SHARDS, MOST_NODES, MOST_CORES, MOST_GPUS = 4096, 4096, 4096, 1024
FILL_IN = "FILL-IN"
"""What a recipe holds where only the user can say: the commit of a data set that a paper names without one."""


ONE_LINE = r"^[^\x00-\x1f]*$"
ROLE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""A role, or a recipe's stem: part of a task's name."""
TAKEN = ("prune", "reaper", "rollback")
"""Names of the DAGs that are no profile's."""
Tag = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE)]
"""A tag of a DAG, as long as Airflow takes it."""


class ProfileSettings(BaseModel):
    """The base of everything in ``profile.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServedModel(ProfileSettings):
    """A model that the DAG serves with vLLM while its tasks ask it, and stops after the last of them."""

    serve: str = Field(min_length=1)
    """The model, as any model is named: ``hf://ORG/NAME@REVISION``, a directory, ``models:/NAME@ALIAS``."""
    name: str | None = None
    """The name by which recipes ask for it; null takes the last part of the model's own name."""
    gpus: int = Field(1, ge=1, le=MOST_GPUS)
    """GPUs of a replica, on each of its nodes."""
    nodes: int = Field(1, ge=1, le=MOST_NODES)
    """Nodes of a replica, for a model that the GPUs of one do not hold: each node has a part of the layers."""
    replicas: int = Field(1, ge=1, le=MOST_NODES)
    """Replicas behind one address."""
    arguments: tuple[str, ...] = ()
    """Further arguments of vLLM's server."""

    @property
    def served_as(self) -> str:
        """The name by which recipes ask for it."""
        return self.name or self.serve.partition("@")[0].rstrip("/").rpartition("/")[2]


class ReachedModel(ProfileSettings):
    """A model that somebody else serves."""

    endpoint: str | None = Field(None, pattern=r"^https?://[^\s{},=]+$")
    """The base URL of an OpenAI-compatible server, such as ``http://host:8000/v1``; null takes STILLHOUSE_ENDPOINTS."""
    name: str = Field(pattern=r"^[^\s{},=]+$")
    """The model's name there."""


class TrainedModel(ProfileSettings):
    """A model that the DAG trains before it is needed."""

    recipe: str = Field(pattern=r"^(sft|rl)(-[a-z0-9][a-z0-9.-]*)?$")
    """The recipe of this profile that trains it, such as ``sft-large``."""


def _role(value: Any) -> Any:
    """A role in one of its forms, told apart by its key, so that an error is about the form that was meant."""
    if isinstance(value, str | ProfileSettings):
        return value
    if not isinstance(value, Mapping):
        msg = f"write a model reference, or a mapping with serve, recipe or name; got {value!r}"
        raise ValueError(msg)  # noqa: TRY004  # pydantic turns only this into a problem of the field
    forms: dict[str, type[ProfileSettings]] = {
        "serve": ServedModel, "recipe": TrainedModel, "endpoint": ReachedModel, "name": ReachedModel,
    }  # fmt: skip
    for key, form in forms.items():
        if key in value:
            return form.model_validate(dict(value))
    msg = (
        f"write a model reference, or a mapping with serve, recipe or endpoint; got the keys {', '.join(map(str, value)) or 'none'}"
    )
    raise ValueError(msg)


ModelRole = Annotated[ServedModel | ReachedModel | TrainedModel | str, BeforeValidator(_role)]
"""A model in a role: a reference (``hf://…``, ``models:/…``, a URI, a directory), or one that is served, reached or trained."""


class TaskPlacement(ProfileSettings):
    """Where a task runs. No result depends on it; what is left out is decided by the deployment."""

    shards: int | None = Field(None, ge=1, le=MOST_SHARDS)
    """Split the task into this many, run side by side. Null: one task, and no choice in the form."""
    gpus: int | None = Field(None, ge=1, le=MOST_GPUS)
    """GPUs on each node, for a stage that runs a model."""
    nodes: int | None = Field(None, ge=1, le=MOST_NODES)
    """Nodes of a training."""
    cores: int | None = Field(None, ge=1, le=MOST_CORES)
    """CPU cores; by default as many to a GPU as the deployment says, else 1."""
    memory: str | None = Field(None, pattern=SIZE)
    """Memory, as Kubernetes writes it: ``96Gi``. By default as much to a GPU, or to a core, as the deployment says."""
    scratch: str | None = Field(None, pattern=SIZE)
    """Size of the scratch volume."""
    shared_memory: str | None = Field(None, pattern=SIZE)
    """Size of ``/dev/shm``, which counts towards the pod's memory. By default pods with GPUs may fill all of their memory."""
    environment: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], str] = Field(default_factory=dict)
    """Variables of the task: engine arguments such as STILLHOUSE_TENSOR_PARALLEL, sharding such as STILLHOUSE_SHARDING."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes to run on."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """Taints that the pod tolerates, as Kubernetes writes them."""
    pod: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the pod's spec, as Kubernetes writes them: ``{runtimeClassName: nvidia}``."""


class AssetSchedule(ProfileSettings):
    """Run after whatever another DAG made."""

    asset: Literal["questions", "selected", "checkpoint", "report"]
    """What to follow."""


def _when(value: Any) -> Any:
    """A schedule in one of its forms. Airflow would refuse a wrong cron expression together with the whole DAG."""
    if isinstance(value, Mapping):
        return AssetSchedule.model_validate(dict(value))
    if isinstance(value, str):
        cron.check(value)
    return value


class Assumptions(ProfileSettings):
    """What the plan takes for granted where this store has no earlier run to measure by."""

    questions: int | None = Field(None, ge=1)
    """Questions after curation."""
    tokens_per_sample: int | None = Field(None, ge=1)
    """Mean length of a response, in tokens."""
    tokens_per_gpu_second: float | None = Field(None, gt=0)
    """Tokens that one GPU writes in a second."""


class Profile(ProfileSettings):
    """``profile.yaml``."""

    title: str = Field(min_length=1, pattern=ONE_LINE)
    """What it does, in one line."""
    about: str = Field("", pattern=r"^[^\x00]*$")
    """The DAG's page in Airflow, as Markdown: what it does, from which paper, and what differs from it."""
    pipeline: str
    """The path it follows."""
    paper: Tag | None = None
    """The report it follows, such as ``arXiv 2504.17565``."""
    like: str | None = None
    """The profile whose recipes are taken where this folder has none of its own."""
    without: tuple[str, ...] = ()
    """Recipes of that profile which are not taken."""
    tags: tuple[Tag, ...] = ()
    """Further tags in Airflow."""
    schedule: Annotated[str | AssetSchedule | None, BeforeValidator(_when)] = None
    """When it runs: a cron expression, an asset to follow, or null, so that a person starts it."""
    models: dict[Annotated[str, Field(pattern=ROLE)], ModelRole] = Field(default_factory=dict)
    """The models by role."""
    benchmarks: dict[str, Annotated[str, Field(pattern=PIN)] | None] = Field(default_factory=dict)
    """The data of benchmarks that others publish: a commit on the hub, or ``sha256-DIGEST``; the form can set what is null."""
    placement: dict[str, TaskPlacement] = Field(default_factory=dict)
    """Where tasks run: by task, recipe, stage, or ``default``; served models by ``teacher-ROLE`` or ``teacher``."""
    assume: Assumptions = Assumptions()
    """What the plan of a first run takes for granted."""
    bound_gpu_hours: float | None = Field(None, ge=0, allow_inf_nan=False)
    """A run that is planned to take more waits until a person approves it in Airflow; null never waits."""
    release: Literal["am-1.4m", "am-40m", "conversations"] | None = None
    """The schema of the file that the pipeline release writes."""
    approve: bool = False
    """Whether a person approves before the model is registered and may become champion."""

    @field_validator("pipeline")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PIPELINES:
            msg = f"no pipeline {name!r}; {nearest(name, PIPELINES, 'pipelines')}"
            raise ValueError(msg)
        return name


@dataclass(frozen=True)
class ProfileFolder:
    """A profile as it lies in its folder."""

    name: str
    path: Path
    profile: Profile
    recipes: Mapping[str, Path]
    """Its recipes by stem, those it takes from the profile it is like included."""
    packaged: bool
    """Whether every image has it; tasks get the recipes of other profiles in full."""

    def placement(self, *names: str) -> TaskPlacement:
        """The placement of the first of these names (task, recipe, stage) that has one, over ``default``, field by field."""
        chosen = next((self.profile.placement[name] for name in names if name in self.profile.placement), TaskPlacement())
        default = self.profile.placement.get("default", TaskPlacement())
        return default.model_copy(update={name: getattr(chosen, name) for name in chosen.model_fields_set})

    def matching(self, stem: str) -> list[str]:
        """The recipes named ``stem`` or ``stem-…``, in alphabetical order."""
        return [name for name in sorted(self.recipes) if name == stem or name.startswith(f"{stem}-")]


def load(name: str) -> ProfileFolder:
    """The profile of that name. Raises BadConfig for one that does not exist or is wrong."""
    known = profile_folders.folders(recipes.RECIPES)
    if name not in known:
        with_file = [other for other, folder in known.items() if (folder / profile_folders.FILE).is_file()]
        msg = f"no profile {name!r}; {nearest(name, with_file, 'profiles')}"
        raise BadConfig(msg)
    return load_folder(known[name], known)


def load_folder(folder: Path, known: Mapping[str, Path] | None = None) -> ProfileFolder:
    """The profile in a folder. Raises BadConfig, which names the file and the field."""
    known = dict(known if known is not None else profile_folders.folders(recipes.RECIPES))
    path = folder / profile_folders.FILE
    if not path.is_file():
        msg = (
            f"{folder}: no {profile_folders.FILE}; write one, or start from another: stillhouse profile new {folder} --like laptop"
        )
        raise BadConfig(msg)
    if not NAME.fullmatch(folder.name):
        msg = f"{folder}: a profile is named after its folder, in small letters, digits, '.', '_' and '-'; rename the folder"
        raise BadConfig(msg)
    if folder.name in TAKEN:
        msg = f"{folder}: {folder.name} is a DAG of stillhouse's own; rename the folder"
        raise BadConfig(msg)
    profile = recipes.resolve(Profile, [f"@{path}"])
    if profile.like is not None and profile.like not in known:
        msg = f"{path}: like: no profile {profile.like!r}; {nearest(profile.like, known, 'profiles')}"
        raise BadConfig(msg)
    files = profile_folders.recipe_files(folder, known)
    return ProfileFolder(folder.name, folder, profile, files, packaged=folder.parent == recipes.RECIPES)


def sound(pipeline: str, only: Sequence[str] = ()) -> list[ProfileFolder]:
    """The profiles that follow a pipeline and have no structural problem; ``only`` limits them by name, in its order."""
    known = profile_folders.folders(recipes.RECIPES)
    found = {}
    for name, folder in known.items():
        wanted = (not only or name in only) and (folder / profile_folders.FILE).is_file()
        if wanted and not problems(folder, known):
            found[name] = load_folder(folder, known)
    names = [name for name in only or found if name in found]
    return [found[name] for name in names if found[name].profile.pipeline == pipeline]


def problems(folder: Path, known: Mapping[str, Path] | None = None) -> list[str]:
    """What keeps a profile from becoming a DAG, in words: its file, and recipes and roles that its pipeline needs."""
    try:
        profile = load_folder(folder, known)
    except BadConfig as error:
        return [str(error)]
    facts = PIPELINES[profile.profile.pipeline]
    where = folder / profile_folders.FILE
    missing = [
        f"{folder}: pipeline {profile.profile.pipeline} needs a recipe "
        + " or ".join(f"{name.removesuffix('*')}.yaml" for name in choice.split("|"))
        for choice in facts.recipes
        if not any(_has(profile, name) for name in choice.split("|"))
    ]
    missing += [
        f"{where}: models: pipeline {profile.profile.pipeline} needs the role {role}; give it a model"
        for role in facts.roles
        if role not in profile.profile.models
    ]
    missing += [
        f"{where}: models.{role}: no recipe {model.recipe}.yaml in {folder.name}; "
        f"{nearest(model.recipe, profile.recipes, 'recipes')}"
        for role, model in profile.profile.models.items()
        if isinstance(model, TrainedModel) and model.recipe not in profile.recipes
    ]
    return missing


def _has(profile: ProfileFolder, choice: str) -> bool:
    """Whether the profile has a recipe of this stem; ``stem*``: with any suffix or none."""
    return bool(profile.matching(choice.removesuffix("*"))) if choice.endswith("*") else choice in profile.recipes
