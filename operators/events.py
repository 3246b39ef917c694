"""Manifest -> Airflow Asset event: what a stage handed on, by URI and fingerprint."""

from collections.abc import Iterator
from typing import Any

from airflow.sdk import Asset, Metadata

from stillhouse.artifacts import manifest

QUESTIONS = Asset("questions")
SELECTED = Asset("selected")
CHECKPOINT = Asset("checkpoint")
REPORT = Asset("report")


def announce(context: Any, result: Any = None) -> Iterator[Metadata]:
    """An operator's ``post_execute``: read the manifest of its ``target``, and say so in the event of every outlet.

    Raises MissingInput where the stage ended well and yet published nothing.
    """
    task = context["task"]
    if not task.outlets:
        return
    found = manifest.load(task.target, "target")
    for asset in task.outlets:
        facts = {"uri": task.target, "fingerprint": found.fingerprint, "version": found.version, "metrics": dict(found.metrics)}
        yield Metadata(asset, extra=facts)
