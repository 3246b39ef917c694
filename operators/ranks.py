"""How the pods of a training on several nodes find each other.

``$(NAME)`` is expanded by Kubernetes: ``JOB_COMPLETION_INDEX`` is the node's number, ``JOB_NAME`` the Job's, whose pod 0 answers to
``{job}-0.{service}``.
"""

import os

from stillhouse.execution.command import Rendezvous

PORT = 29500
LABEL = {"stillhouse/ranks": "true"}
"""What the headless service of the chart and the ranks' network policy select."""


def service() -> str:
    """The headless service: ``STILLHOUSE_RANKS_SERVICE``, set by the chart."""
    return os.environ.get("STILLHOUSE_RANKS_SERVICE", "ranks")


def rendezvous(nodes: int) -> Rendezvous:
    """At pod 0 of the Job."""
    return Rendezvous(nodes, "$(JOB_COMPLETION_INDEX)", f"$(JOB_NAME)-0.{service()}", PORT)
