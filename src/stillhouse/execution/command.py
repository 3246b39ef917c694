"""The command line of a stage: the one form in which pods, child processes and people start it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stillhouse.errors import BadConfig

SHUTDOWN_S = 110
"""Seconds that torchrun gives its processes between SIGTERM and SIGKILL to save a checkpoint: fewer than a pod has."""


@dataclass(frozen=True)
class Rendezvous:
    """Where the processes of several nodes meet, as one of the nodes sees it."""

    nodes: int
    node: str
    """This node's number, from 0."""
    address: str
    """Node 0's host."""
    port: int


def command(
    stage: str, *, config: Sequence[str], inputs: Mapping[str, str | Sequence[str]], output: str, program: str = "stillhouse",
    ranks: bool = False, processes: int = 1, rendezvous: Rendezvous | None = None, shard: str = "", step: str = "",
) -> list[str]:  # fmt: skip
    """``stillhouse STAGE --config … --input NAME=URI … --output URI`` as arguments.

    ``config`` holds the layers, left to right: ``@recipe`` or JSON. An input with several URIs is repeated; one with an empty URI
    is left out. ``ranks``: the stage trains over several processes (``stages.REGISTRY``). Then the torchrun beside the program
    starts ``processes`` of them, one per GPU, on every node of the ``rendezvous``; any other stage is one process. Raises BadConfig
    for a rendezvous without ranks. ``shard`` is ``INDEX/COUNT``, ``step`` one of ``contract.STEPS``; both are left out if empty.
    """
    named = [(name, [uris] if isinstance(uris, str) else list(uris)) for name, uris in inputs.items()]
    flags = [flag for name, uris in named for uri in uris if uri for flag in ("--input", f"{name}={uri}")]
    layers = [flag for layer in config for flag in ("--config", layer)]
    if rendezvous and not ranks:
        msg = f"{stage}: placed on {rendezvous.nodes} nodes, but it is one process; place it on one"
        raise BadConfig(msg)
    together = ranks and (processes > 1 or rendezvous is not None)
    start = _torchrun(program, processes, rendezvous) if together else [program]
    share = [flag for name, value in (("--shard", shard), ("--step", step)) for flag in (name, value) if value]
    return [*start, stage, *layers, *flags, "--output", output, *share]


def relaunched(argv: Sequence[str], processes: int, rendezvous: Rendezvous | None = None) -> list[str]:
    """The command line of a stage that trains over ranks, with another number of processes or nodes."""
    at = argv.index("--config") - 1
    program = argv[0] if at == 1 else str(Path(argv[0]).with_name("stillhouse"))
    start = _torchrun(program, processes, rendezvous) if processes > 1 or rendezvous is not None else [program]
    return [*start, *argv[at:]]


def _torchrun(program: str, processes: int, rendezvous: Rendezvous | None) -> list[str]:
    """No restarts: a lost process ends them all, and the next try resumes from its checkpoint."""
    where = ["--standalone"]
    if rendezvous is not None:
        where = [f"--nnodes={rendezvous.nodes}", f"--node-rank={rendezvous.node}"]
        where += [f"--master-addr={rendezvous.address}", f"--master-port={rendezvous.port}"]
    limits = ["--max-restarts=0", f"--shutdown-timeout={SHUTDOWN_S}"]
    return [str(Path(program).with_name("torchrun")), *where, f"--nproc-per-node={processes}", *limits, "-m", "stillhouse"]
