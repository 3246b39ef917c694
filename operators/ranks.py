"""The command of one node of several: torchrun, which starts a process per GPU and brings all nodes' processes together.

``$(NAME)`` is expanded by Kubernetes: ``JOB_COMPLETION_INDEX`` is the node's number, ``JOB_NAME`` the Job's, whose pod 0 answers to
``{job}-0.{service}``.
"""

import os

PORT = 29500
LABEL = {"stillhouse/ranks": "true"}
"""What the headless service of the chart and the ranks' network policy select."""


def service() -> str:
    """The headless service: ``STILLHOUSE_RANKS_SERVICE``, set by the chart."""
    return os.environ.get("STILLHOUSE_RANKS_SERVICE", "ranks")


def launch(nodes: int, processes: int) -> list[str]:
    """What goes before ``-m MODULE …``. No restarts: a lost rank ends the Job, and the next try resumes from its checkpoint."""
    return [
        "torchrun", f"--nnodes={nodes}", f"--nproc-per-node={processes}", "--node-rank=$(JOB_COMPLETION_INDEX)",
        f"--master-addr=$(JOB_NAME)-0.{service()}", f"--master-port={PORT}", "--max-restarts=0",
    ]  # fmt: skip
