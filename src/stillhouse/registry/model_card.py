"""A model's card: how it was made, from what, and what it scores, as the README.md that Hugging Face and MLflow show."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.manifest import Manifest, ModelLink
from stillhouse.benchmarks.outcomes import BenchmarkOutcome, Outcomes, read_outcomes
from stillhouse.models.references import HUB, HubModel, is_artifact, parse

CARD = "README.md"
SETTINGS = (
    "split", "learning_rate", "epochs", "max_steps", "steps", "batch_size", "max_length", "packing", "group_size",
    "prompts_per_step", "kl_coefficient", "max_tokens", "temperature", "system_prompt", "suffix", "seed",
)  # fmt: skip
"""What the card says of each training stage."""
SAMPLED = ("temperature", "top_p", "max_tokens", "system_prompt", "suffix")
"""What the card says of how a benchmark was sampled."""
TRAINED = ("sft", "rl")


def render(name: str, checkpoint: str, report: str | None) -> str:
    """The card of the model ``name`` whose checkpoint and report lie at these URIs. It depends on them alone.

    Raises MissingInput or BadRows if the report has no outcomes, or another release wrote them.
    """
    walked = list(manifests.lineage(checkpoint)) if is_artifact(checkpoint) else []
    outcomes = read_outcomes(report) if report else None
    bases = sorted({link.uri for _, _, _, manifest in walked if manifest for link in _trained_from(manifest)})
    parts = [
        f"---\n{yaml.safe_dump(_header(name, bases, outcomes), sort_keys=False, allow_unicode=True)}---\n",
        f"# {name}\n",
        "A reasoning model, made by stillhouse.\n",
        *(["## Scores\n", _scores(outcomes)] if outcomes else []),
        "## Training\n",
        "".join(_training(walked)) or f"Not trained here: `{checkpoint}` as it is.\n",
        "## Lineage\n",
        "Each artifact by the fingerprint of its config and its inputs, each model by what it is pinned to:\n",
        "".join(_lineage(walked)),
    ]
    return "\n".join(parts)


def _trained_from(manifest: Manifest) -> list[ModelLink]:
    return [link for name, link in manifest.models.items() if manifest.stage in TRAINED and name == "checkpoint"]


def _header(name: str, bases: list[str], outcomes: Outcomes | None) -> dict[str, Any]:
    """The YAML that the hub reads. Only a model of the hub is a base that it knows."""
    models = [reference.repo for base in bases if base.startswith(HUB) and isinstance(reference := parse(base), HubModel)]
    return {
        **({"base_model": models} if models else {}), "library_name": "transformers", "pipeline_tag": "text-generation",
        "tags": ["reasoning", "stillhouse"], **({"model-index": [_index(name, outcomes)]} if outcomes else {}),
    }  # fmt: skip


def _index(name: str, outcomes: Outcomes) -> dict[str, Any]:
    """The scores of the last round, in the form in which the hub lists them."""
    return {
        "name": name,
        "results": [
            {
                "task": {"type": "text-generation"},
                "dataset": {"name": benchmark, "type": benchmark},
                "metrics": [{"type": "pass@1", "value": round(outcome.rounds[max(outcome.rounds)].pass_at_1.mean, 4)}],
            }
            for benchmark, outcome in outcomes.benchmarks.items()
        ],
    }


def _scores(outcomes: Outcomes) -> str:
    lines = ["| benchmark | round | pass@1 | 95 % interval | questions | tokens | protocol |", "|---|---|---|---|---|---|---|"]
    for benchmark, outcome in outcomes.benchmarks.items():
        for number, result in outcome.rounds.items():
            interval = result.pass_at_1
            span = f"{interval.low:.3f}–{interval.high:.3f}"
            lines.append(
                f"| {benchmark} | {number} | {interval.mean:.3f} | {span} | {outcome.n_questions:,} | {result.tokens:,.1f} | "
                f"`{outcome.protocol[:8]}` |"
            )
    protocols = [_protocol(outcome) for outcome in outcomes.benchmarks.values()]
    return "\n".join([*lines, "", "Scores compare where the protocol is the same:\n", *protocols, ""])


def _protocol(outcome: BenchmarkOutcome) -> str:
    settings = outcome.settings
    sampling = ", ".join(f"{key} {settings.sampling[key]}" for key in SAMPLED if key in settings.sampling)
    facts = f"{settings.samples} samples per question, {sampling}; verifier {settings.verifier}; engine {settings.engine}"
    return f"- `{outcome.protocol[:8]}`: {settings.benchmark}, {facts}"


def _training(walked: list[tuple[int, str, str, Manifest | None]]) -> Iterator[str]:
    """The training stages, the first one first."""
    trained = {link: manifest for _, _, link, manifest in walked if manifest and manifest.stage in TRAINED}
    for manifest in sorted(trained.values(), key=lambda manifest: manifest.provenance.finished):
        settings = ", ".join(f"{key} {_value(manifest.config[key])}" for key in SETTINGS if manifest.config.get(key) is not None)
        yield f"- `{manifest.stage}` {manifest.fingerprint}: {settings}\n"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lineage(walked: list[tuple[int, str, str, Manifest | None]]) -> Iterator[str]:
    """What the checkpoint was made of; where artifacts lie stays private."""
    seen: set[str] = set()
    for depth, _, link, manifest in walked:
        if link in seen:
            continue
        seen.add(link)
        facts = f"`{manifest.fingerprint}`, code {manifest.provenance.commit}" if manifest else "gone"
        yield f"{'  ' * depth}- {'/'.join(link.split('/')[-3:])}: {facts}\n"
        yield from _models(depth + 1, manifest.models if manifest else {})


def _models(depth: int, models: Mapping[str, ModelLink]) -> Iterator[str]:
    for name, link in models.items():
        if link.kind != "artifact":
            where = link.uri if link.kind == "hub" else link.uri.rsplit("/", 1)[-1]
            yield f"{'  ' * depth}- {name}: {where}, `{link.fingerprint}`\n"
