"""Manifest -> Airflow Asset event: what a stage handed on, by URI and fingerprint."""

from collections.abc import Iterator
from typing import Any

from airflow.sdk import Asset, Metadata

QUESTIONS = Asset("questions")
SELECTED = Asset("selected")
CHECKPOINT = Asset("checkpoint")
REPORT = Asset("report")
ASSETS = {asset.name: asset for asset in (QUESTIONS, SELECTED, CHECKPOINT, REPORT)}


def announce(context: Any, result: Any = None) -> Iterator[Metadata]:
    """An operator's ``post_execute``: read the manifest at its ``target`` and put its facts into the event of every outlet.

    Raises MissingInput if the stage ended well but published nothing.
    """
    task = context["task"]
    if not task.outlets:
        return
    from stillhouse.artifacts import manifest  # here: Airflow parses DAG files all the time, and needs no store for it

    published = manifest.load(task.target, "target")
    for asset in task.outlets:
        facts = {
            "uri": task.target,
            "fingerprint": published.fingerprint,
            "version": published.version,
            "metrics": dict(published.metrics),
        }
        yield Metadata(asset, extra=facts)
