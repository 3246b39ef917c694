"""What a cluster without the internet needs to run profiles: images to mirror, models and data sets to bring into its cache.

    python -m operators.air_gap PROFILE… [--values VALUES.yaml]

One line each: its kind, its name, and who needs it. ``--values`` are those of the release; without them the chart's defaults.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stillhouse import stages
from stillhouse.api import profile_checks
from stillhouse.errors import BadConfig
from stillhouse.execution import profiles
from stillhouse.execution.profiles import ProfileFolder, ServedModel

HUB = "hf://"
DATA = "hf://datasets/"
CHART = Path(__file__).parents[1] / "helm" / "stillhouse" / "values.yaml"
FALLBACK: dict[str, dict[str, Any]] = {
    "images": {"registry": "REGISTRY", "tag": "TAG"},
    "postgres": {"enabled": True, "image": "docker.io/library/postgres"},
}
Need = tuple[str, str, str]
"""Its kind, its name, and who needs it."""


def needs(folders: Sequence[ProfileFolder], values: Mapping[str, Any]) -> list[Need]:
    """Everything that these profiles and the release itself take from outside the cluster, each once, sorted."""
    found = [*_release_images(values)]
    for folder in folders:
        found += [*_stage_images(folder, values), *_hub_references(folder), *_benchmark_data(folder)]
    by_name: dict[tuple[str, str], list[str]] = {}
    for kind, name, why in found:
        by_name.setdefault((kind, name), []).append(why)
    return sorted((kind, name, ", ".join(dict.fromkeys(whys))) for (kind, name), whys in by_name.items())


def _release_images(values: Mapping[str, Any]) -> Iterator[Need]:
    for name in ("services", "worker", "sandbox", "airflow"):
        yield "image", _image(values, name), "the release"
    if values.get("postgres", {}).get("enabled"):
        yield "image", values["postgres"]["image"], "the release"


def _stage_images(folder: ProfileFolder, values: Mapping[str, Any]) -> Iterator[Need]:
    for stem in folder.recipes:
        yield "image", _image(values, stages.entry_of(stem.partition("-")[0]).image), folder.name
    if any(isinstance(model, ServedModel) for model in folder.profile.models.values()):
        yield "image", _image(values, "vllm"), folder.name


def _image(values: Mapping[str, Any], name: str) -> str:
    images = values.get("images", {})
    return f"{images.get('registry', 'REGISTRY')}/{name}:{images.get('tag') or 'TAG'}"


def _hub_references(folder: ProfileFolder) -> Iterator[Need]:
    """References in ``profile.yaml`` and in the recipes, and the data sets of sources."""
    for role, model in folder.profile.models.items():
        reference = model.serve if isinstance(model, ServedModel) else model
        if isinstance(reference, str) and reference.startswith(HUB):
            yield "model", reference, f"{folder.name}: {role}"
    for stem in folder.recipes:
        for kind, name in _named(profile_checks.config_of(folder, stem).model_dump(mode="json")):
            yield kind, name, f"{folder.name}: {stem}"


def _named(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and value.startswith(HUB):
        yield "data set" if value.startswith(DATA) else "model", value
    elif isinstance(value, Mapping):
        if value.get("kind") == "huggingface" and value.get("dataset"):
            yield "data set", f"{DATA}{value['dataset']}@{value.get('revision') or 'main'}"
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named(item)


def _benchmark_data(folder: ProfileFolder) -> Iterator[Need]:
    for name, data in profile_checks.published_data(folder).items():
        yield "data set", f"{DATA}{data}@{folder.profile.benchmarks[name] or 'PIN'}", f"{folder.name}: benchmark {name}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(prog="python -m operators.air_gap", description="what profiles need from outside a cluster")
    parser.add_argument("profiles", nargs="+", metavar="PROFILE")
    parser.add_argument("--values", type=Path, help="the release's values.yaml")
    chosen = parser.parse_args(arguments)
    try:
        folders = [profiles.load(name) for name in chosen.profiles]
        values = _values(chosen.values)
        for kind, name, why in needs(folders, values):
            print(f"{kind:9} {name}  # {why}")
    except (BadConfig, OSError, yaml.YAMLError) as error:
        parser.exit(1, f"error: {' '.join(str(error).split())}\n")


def _values(path: Path | None) -> dict[str, Any]:
    """The chart's values with those of the file over them, as far as images go."""
    default = yaml.safe_load(CHART.read_text()) if CHART.is_file() else FALLBACK
    own = (yaml.safe_load(path.read_text()) if path else None) or {}
    if not isinstance(own, dict):
        msg = f"{path}: no values of a chart: a mapping is expected, such as images: {{registry: …}}"
        raise BadConfig(msg)
    return {part: default[part] | (own.get(part) or {}) for part in ("images", "postgres")}


if __name__ == "__main__":
    main()
