"""``make demo MODEL=… PROFILE=own``: a profile of the user's own model, written where Airflow finds it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from laptop.settings import Laptop
from stillhouse.errors import BadConfig
from stillhouse.execution.recipes import RECIPES
from stillhouse.models.references import Adapter, DirectoryModel, is_reference, name_of, parse

NAME, LIKE = "own", "own-model"
"""The profile, and the folder of packaged recipes that it takes: two folders of one name would shadow each other."""
ROLES = ("small", "medium", "large")


def write_profile(laptop: Laptop, model: str, teachers: Sequence[str] = ()) -> Path:
    """Write the profile ``own`` for a model, and return its folder.

    The student is the model, and so are its teachers, at the three temperatures of the packaged recipes, unless ``teachers`` names
    others: one, or three from the smallest up, each a model reference or ``NAME=URL``, a model at an OpenAI-compatible endpoint.
    Raises BadConfig for a malformed reference, a directory that is not there, or another number of teachers.
    """
    named = list(teachers) or [model]
    if len(named) not in {1, len(ROLES)}:
        msg = f"TEACHERS: {len(named)} are named; name one, or three for {', '.join(ROLES)}, with commas between"
        raise BadConfig(msg)
    by_role = dict(zip(ROLES, map(_role, named * (len(ROLES) // len(named))), strict=True))
    folder = laptop.profiles / NAME
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("*.yaml"):
        earlier.unlink()
    for role, teacher in by_role.items():
        if isinstance(teacher, dict):
            _write(folder / f"responses-{role}.yaml", _asked(role, teacher["name"]))
    profile = {
        "title": f"the whole path with {name_of(_checked(model))}", "pipeline": "retrain", "like": LIKE,
        "models": {"student": _checked(model)} | by_role, "placement": {"rl": {"cores": 2}},
    }  # fmt: skip
    _write(folder / "profile.yaml", profile)
    return folder


def _role(teacher: str) -> str | dict[str, str]:
    """A teacher as ``profile.yaml`` names it."""
    name, equals, url = teacher.partition("=")
    return {"name": name, "endpoint": url} if equals and url.startswith(("http://", "https://")) else _checked(teacher)


def _checked(model: str) -> str:
    """The reference, a relative path made absolute: Airflow's tasks run elsewhere."""
    text = model if is_reference(model) else f"./{model}"
    reference = parse(text)
    parts = [reference.base, reference.adapter] if isinstance(reference, Adapter) else [reference]
    for part in parts:
        path = Path(part.uri).expanduser() if isinstance(part, DirectoryModel) and "://" not in part.uri else None
        if path is not None and not path.is_dir():
            hub = f"; a model on the hub is written hf://{model}" if model.count("/") == 1 and not is_reference(model) else ""
            msg = f"MODEL={model}: there is no directory {path.absolute()}{hub}"
            raise BadConfig(msg)
    if isinstance(reference, DirectoryModel) and "://" not in reference.uri:
        return str(Path(reference.uri).expanduser().absolute())
    return text


def _asked(role: str, name: str) -> dict[str, Any]:
    """The packaged recipe of a teacher, asked at an endpoint; its rows keep the role's name."""
    recipe = yaml.safe_load((RECIPES / LIKE / f"responses-{role}.yaml").read_text(encoding="utf-8"))
    return {**recipe, "model": None, "engine": "openai", "models": {role: {"model": name}}}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
