"""The command line of a stage: the one form in which pods, child processes and people start it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stillhouse.errors import BadConfig
from stillhouse.execution.processes import STAGES

SHUTDOWN_S = 110
"""What torchrun leaves its processes from SIGTERM to SIGKILL, to save a checkpoint: less than a pod is left."""


@dataclass(frozen=True)
class Meeting:
    """Where the processes of several nodes meet, as seen from one of them."""

    nodes: int
    node: str
    """This node's number, from 0."""
    address: str
    """Node 0's host."""
    port: int


def command(
    stage: str, *, config: Sequence[str], inputs: Mapping[str, str | Sequence[str]], output: str, program: str = "stillhouse",
    processes: int = 1, meeting: Meeting | None = None,
) -> list[str]:  # fmt: skip
    """``stillhouse STAGE --config … --input NAME=URI … --output URI`` as arguments.

    ``config`` holds the layers, left to right: ``@recipe`` or JSON. An input with several URIs is given several times; one with
    an empty URI is left out. A training of several ``processes``, one to a GPU, or on several nodes is started by the torchrun
    beside the program; other stages are one process. Raises BadConfig where one of those is to run on several nodes.
    """
    named = [(name, [given] if isinstance(given, str) else list(given)) for name, given in inputs.items()]
    flags = [flag for name, uris in named for uri in uris if uri for flag in ("--input", f"{name}={uri}")]
    layers = [flag for layer in config for flag in ("--config", layer)]
    if meeting and stage not in STAGES:
        msg = f"{stage}: placed on {meeting.nodes} nodes, and only {' and '.join(STAGES)} run on several; give it one"
        raise BadConfig(msg)
    together = stage in STAGES and (processes > 1 or meeting is not None)
    start = _torchrun(program, processes, meeting) if together else [program]
    return [*start, stage, *layers, *flags, "--output", output]


def _torchrun(program: str, processes: int, meeting: Meeting | None) -> list[str]:
    """No restarts: a lost process ends them all, and the next try resumes from its checkpoint."""
    where = ["--standalone"]
    if meeting is not None:
        where = [f"--nnodes={meeting.nodes}", f"--node-rank={meeting.node}"]
        where += [f"--master-addr={meeting.address}", f"--master-port={meeting.port}"]
    limits = ["--max-restarts=0", f"--shutdown-timeout={SHUTDOWN_S}"]
    return [str(Path(program).with_name("torchrun")), *where, f"--nproc-per-node={processes}", *limits, "-m", "stillhouse"]
