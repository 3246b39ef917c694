"""Where a run's artifacts lie: ``{store}/{stage}/{profile}[-{suffix}]/{version}``, as a macro of templates.

A profile's DAG has the profile's name. Airflow evaluates the macro when a task starts, so that no DAG file reads the environment or
the run.
"""

import os
from hashlib import sha256
from typing import Any

from jinja2 import pass_context

from stillhouse.errors import BadConfig


@pass_context
def artifact(context: Any, name: str) -> str:
    """The URI of ``sft-anneal`` in this run: stage ``sft``, suffix ``anneal``; raises BadConfig without a store."""
    stage, dash, suffix = name.partition("-")
    return f"{root()}/{stage}/{context['dag_run'].dag_id}{dash}{suffix}/{version(context)}"


def report_uri(context: Any, checkpoint: str, protocol: str, benchmark: str) -> str:
    """The URI of a report on one benchmark of a checkpoint, named after both and the protocol; raises BadConfig without a store.

    The readable name is the end of the checkpoint's; two checkpoints may share it (``sft/mine-2/1`` and ``sft/mine/2-1``, or two
    buckets), so that the digest of all three tells them apart.
    """
    checkpoint = checkpoint.rstrip("/")
    word = "-".join(checkpoint.partition("://")[2].split("/")[-3:] if "://" in checkpoint else [checkpoint])
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in word).strip("-.")
    digest = sha256("\n".join((checkpoint, protocol, benchmark)).encode()).hexdigest()[:8]
    return f"{root()}/report/{plain}-{protocol}-{benchmark}-{digest}/{version(context)}"


def root() -> str:
    """The root of the store. Raises BadConfig without one."""
    uri = os.environ.get("STILLHOUSE_STORE")
    if not uri:
        msg = "STILLHOUSE_STORE is not set: give Airflow the root of the artifact store, such as s3://stillhouse"
        raise BadConfig(msg)
    return uri.rstrip("/")


def version(context: Any) -> str:
    """The version of the run's artifacts: the form's, else the run's time."""
    return str(context["params"].get("version") or context["dag_run"].run_after.strftime("%Y-%m-%dT%H-%M-%S"))


@pass_context
def released(context: Any, form: str) -> str:
    """The URI of a release's file."""
    return f"{root()}/release/{context['dag_run'].dag_id}/{version(context)}/{form}.jsonl.zst"


MACROS = {"artifact": artifact, "released": released}
