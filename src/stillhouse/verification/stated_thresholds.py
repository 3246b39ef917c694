"""The pass thresholds stated by earlier artifacts: by responses that were sampled until verdicts, and by earlier verdicts."""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from stillhouse.artifacts import manifest, tables
from stillhouse.errors import BadConfig
from stillhouse.vocabulary.categories import Category


def refuse_others(responses: Sequence[str], thresholds: Mapping[Category, float], categories: Collection[Category]) -> None:
    """Raise BadConfig if responses were sampled until verdicts under another threshold than this in one of the categories."""
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
    """The earlier verdicts; None if they come from a release whose verdicts do not state their threshold."""
    if previous is None or all("threshold" in pq.read_schema(path).names for path in tables.parts(previous)):
        return previous
    print("  verified: the earlier verdicts do not state their threshold: they are not reused", file=sys.stderr, flush=True)
    return None
