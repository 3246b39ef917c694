"""Whether a profile can be run: what is wrong with it, and what only its owner can fill in. Airflow and people ask the same."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse import stages
from stillhouse.benchmarks.definitions import HubDataset, definition
from stillhouse.errors import BadConfig, nearest
from stillhouse.execution import profile_folders, profiles, recipes
from stillhouse.execution.profiles import FILL_IN, ROLE, ProfileFolder, ServedModel
from stillhouse.models import references
from stillhouse.vocabulary.settings import StageConfig

BENCHMARK_FIELDS = ("benchmarks", "decontaminate")
"""Fields of configs that name benchmarks."""


def problems(folder: Path) -> list[str]:
    """Everything wrong with the profile in a folder, one line each; empty if Airflow makes a DAG of it."""
    if structural := profiles.problems(folder):
        return structural
    profile = profiles.load_folder(folder)
    return [*profile_folders.ignored(folder), *wrong_contents(profile), *_unused_names(profile)]


@dataclass(frozen=True)
class CheckedProfile:
    """A sound profile."""

    name: str
    pipeline: str
    recipes: Sequence[str]
    open_questions: Sequence[str]
    """What must be filled in before a run."""


def check(folder: str) -> CheckedProfile:
    """Check the profile in a folder, or of that name. Raises BadConfig with everything that is wrong, separated by semicolons."""
    known = profile_folders.folders(recipes.RECIPES)
    path = known[folder] if folder in known else Path(folder)
    if not path.is_dir():
        msg = f"{folder}: no such folder and no such profile; {nearest(folder, known, 'profiles')}"
        raise BadConfig(msg)
    path = path.resolve() if folder not in known else path
    if wrong := problems(path):
        raise BadConfig("; ".join(wrong))
    profile = profiles.load_folder(path)
    return CheckedProfile(profile.name, profile.profile.pipeline, sorted(profile.recipes), open_questions(profile))


def start(folder: str, like: str) -> list[Path]:
    """Copy the profile ``like``, with the recipes that it takes from others, into a new folder; returns the files.

    Raises BadConfig for an unknown profile, a name that no profile may have, and a folder that is not empty.
    """
    model, target = profiles.load(like), Path(folder)
    if not profiles.NAME.fullmatch(target.name):
        msg = f"{folder}: a profile is named after its folder, in small letters, digits, '.', '_' and '-'; choose such a name"
        raise BadConfig(msg)
    if target.is_dir() and any(target.iterdir()):
        msg = f"{folder}: is not empty; name a new folder"
        raise BadConfig(msg)
    target.mkdir(parents=True, exist_ok=True)
    text = (model.path / profile_folders.FILE).read_text(encoding="utf-8")
    # The recipes are all copied: what the other profile was like is no longer needed.
    own = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("like:", "without:")))
    files = [target / profile_folders.FILE, *(target / f"{stem}.yaml" for stem in model.recipes)]
    files[0].write_text(own, encoding="utf-8")
    for stem, source in model.recipes.items():
        (target / f"{stem}.yaml").write_bytes(source.read_bytes())
    return files


def all_problems() -> list[str]:
    """Everything wrong with the profiles that this machine finds, packaged and the user's."""
    known = profile_folders.folders(recipes.RECIPES)
    with_file = [folder for folder in known.values() if (folder / profile_folders.FILE).is_file() or not _is_packaged(folder)]
    return [*profile_folders.problems(recipes.RECIPES), *(problem for folder in with_file for problem in problems(folder))]


def wrong_contents(profile: ProfileFolder) -> list[str]:
    """What is wrong with its models and recipes, one line each."""
    wrong = [*_misnamed(profile), *_wrong_references(profile)]
    for stem in profile.recipes:
        try:
            config_of(profile, stem)
        except BadConfig as error:
            wrong.append(str(error))
    return wrong


def _misnamed(profile: ProfileFolder) -> list[str]:
    """Recipes whose names no task can have, or that the form would take for one another."""
    wrong = [
        f"{path}: a recipe is named in letters, digits, '.', '_' and '-', 64 at most; rename the file"
        for stem, path in profile.recipes.items()
        if not re.fullmatch(ROLE, stem)
    ]
    by_key: dict[str, str] = {}
    for stem, path in sorted(profile.recipes.items()):
        first = by_key.setdefault(re.sub(r"[-.]", "_", stem), stem)
        if first != stem:
            wrong.append(f"{path}: the form cannot tell {stem} from {first}; rename one of the two files")
    return wrong


def _wrong_references(profile: ProfileFolder) -> list[str]:
    """Models that no reference names."""
    named = {role: model.serve if isinstance(model, ServedModel) else model for role, model in profile.profile.models.items()}
    wrong = []
    for role, text in named.items():
        try:
            if isinstance(text, str):
                references.parse(text)
        except BadConfig as error:
            wrong.append(f"{profile.path / profile_folders.FILE}: models.{role}: {error}")
    return wrong


def config_of(profile: ProfileFolder, stem: str) -> StageConfig:
    """The config of a recipe. Raises BadConfig, which names the file and the field."""
    path = profile.recipes[stem]
    try:
        config = stages.config_of(stem.partition("-")[0])
    except BadConfig as error:
        msg = f"{path}: a recipe is named after its stage, such as sft-1.yaml: {error}"
        raise BadConfig(msg) from error
    return recipes.resolve(config, [f"@{path}"])


def open_questions(profile: ProfileFolder) -> list[str]:
    """What must be filled in before a run: places marked ``FILL-IN``, and published benchmarks without the pin of their data."""
    unsaid = []
    for stem in profile.recipes:
        values = config_of(profile, stem).model_dump(mode="json")
        pins = {name: pin for name, pin in profile.profile.benchmarks.items() if pin}
        unsaid += [f"{profile.recipes[stem].name}: {gap}" for gap in gaps(values, pins)]
    return unsaid


def gaps(values: Mapping[str, Any], pins: Mapping[str, str] | None = None) -> list[str]:
    """What only the user can say and a config's values leave open. ``pins``: the data of benchmarks, by name."""
    unsaid = [f"{path}: replace {FILL_IN} by what the paper does not say" for path in _paths(values, FILL_IN)]
    benchmarks: Sequence[str] = [name for field in BENCHMARK_FIELDS for name in values.get(field) or ()]
    return unsaid + [
        f"benchmark {name} is published by others: name its data, a commit on the hub or sha256-DIGEST, under benchmarks in "
        f"{profile_folders.FILE} or in the form"
        for name in (benchmark.partition("@")[0] for benchmark in benchmarks if ":" not in benchmark)
        if is_published(name) and name not in (pins or {})
    ]


def is_published(benchmark: str) -> bool:
    """Whether others publish the benchmark, so that its data needs a pin of its own."""
    try:
        return isinstance(definition(benchmark).source, HubDataset)
    except BadConfig:
        return False


def _is_packaged(folder: Path) -> bool:
    return folder.parent == recipes.RECIPES


def _unused_names(profile: ProfileFolder) -> list[str]:
    """Names in ``profile.yaml`` that stand for nothing: a placement of no task, the data of no benchmark."""
    where = profile.path / profile_folders.FILE
    # Tasks that follow one recipe for several checkpoints have names of their own.
    free = {"report", "comparison"} | ({"sft", "verified"} if profile.profile.pipeline == "answer_study" else set())
    known = {"default", "teacher", *(f"teacher-{role}" for role in profile.profile.models), *stages.DATA_PATH, *profile.recipes}
    wrong = [
        f"{where}: placement.{name}: no such task, recipe or stage; {nearest(name, known, 'names')}"
        for name in profile.profile.placement
        if name not in known and name.partition("-")[0] not in free
    ]
    wrong += _left_out_in_vain(profile)
    wrong += [
        f"{where}: placement.{name}: shards: {reason}; leave shards out"
        for name, choice in profile.profile.placement.items()
        if choice.shards and (reason := _whole(name.partition("-")[0]))
    ]
    return wrong + [
        f"{where}: benchmarks.{name}: no benchmark that others publish"
        for name in profile.profile.benchmarks
        if not is_published(name)
    ]


def _left_out_in_vain(profile: ProfileFolder) -> list[str]:
    """Names in ``without`` that are no recipe of the profile which this one is like."""
    known = profile_folders.folders(recipes.RECIPES)
    like = profile.profile.like
    theirs = profile_folders.recipe_files(known[like], known) if like else {}
    hint = f"no recipe of {like}; {{}}" if like else "this profile is like no other; leave `without` out"
    return [
        f"{profile.path / profile_folders.FILE}: without: {stem}: {hint.format(nearest(stem, theirs, 'recipes'))}"
        for stem in profile.profile.without
        if stem not in theirs
    ]


def published_data(profile: ProfileFolder) -> dict[str, str]:
    """The hub's data sets behind the benchmarks of the profile."""
    sources = {name: definition(name).source for name in profile.profile.benchmarks}
    return {name: source.name for name, source in sources.items() if isinstance(source, HubDataset)}


def _whole(name: str) -> str:
    """Why a stage cannot be sharded; empty for one that can, and for a name that is no stage's."""
    return stages.REGISTRY[name].whole if name in stages.REGISTRY else ""


def _paths(value: Any, wanted: str, path: str = "") -> list[str]:
    """Where in nested values a text stands."""
    if value == wanted:
        return [path]
    if isinstance(value, Mapping):
        return [found for name, item in value.items() for found in _paths(item, wanted, f"{path}.{name}".lstrip("."))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in _paths(item, wanted, f"{path}[{_named(item, index)}]")]
    return []


def _named(item: Any, index: int) -> str:
    return str(item.get("name", index)) if isinstance(item, Mapping) else str(index)
