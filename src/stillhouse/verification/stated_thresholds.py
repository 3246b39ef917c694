"""What earlier artifacts say of pass thresholds: responses that were sampled by verdicts, and verdicts of an earlier release."""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from stillhouse.artifacts import manifest, tables
from stillhouse.errors import BadConfig
from stillhouse.vocabulary.categories import Category


def refuse_others(responses: Sequence[str], thresholds: Mapping[Category, float], categories: Collection[Category]) -> None:
    """Raise BadConfig for responses that were sampled until verdicts by other thresholds than these in one of the categories."""
    for uri in responses:
        config = manifest.load(uri, "input responses").config
        if config.get("until", "all") == "all" or "pass_thresholds" not in config:
            continue
        for category in sorted(categories):
            sampled = config["pass_thresholds"].get(category)
            if sampled is not None and sampled != thresholds[category]:
                msg = (
                    f"verified: pass_thresholds.{category} is {thresholds[category]:g}, but {uri} was sampled until "
                    f"{config['until']} with {sampled:g}; set both to one value"
                )
                raise BadConfig(msg)


def if_stated(previous: Path | None) -> Path | None:
    """The earlier verdicts, unless they were made before verdicts stated their threshold: those are not taken over."""
    if previous is None or all("threshold" in pq.read_schema(path).names for path in tables.parts(previous)):
        return previous
    print("  verified: the earlier verdicts do not state their threshold: they are not taken over", file=sys.stderr, flush=True)
    return None
