"""How large a training's checkpoints are, by arithmetic: what scratch and store need room for, and a preemption time."""

from dataclasses import dataclass

MASTERS, MOMENTS = 4, 8
"""Bytes a parameter: fp32 masters of partitioned weights, and AdamW's two moments."""


@dataclass(frozen=True)
class CheckpointSize:
    """Bytes of one checkpoint."""

    shared: float
    """Written by rank 0: the weights, and without ZeRO the optimizer's state."""
    per_rank: float
    """Written by every rank: its share of the optimizer's state."""
    processes: int

    @property
    def total(self) -> float:
        """Of all ranks."""
        return self.shared + self.per_rank * self.processes


def checkpoint_size(n_parameters: float, zero: int = 0, processes: int = 1, weight_bytes: int = 4) -> CheckpointSize:
    """Of a model whose weights are all trained by AdamW. ``zero``: DeepSpeed's level; ``weight_bytes``: 2 under ZeRO on a GPU.

    Under ZeRO 1 and 2, DeepSpeed keeps a copy of the weights beside those that transformers writes.
    """
    if zero == 0:
        return CheckpointSize(n_parameters * (weight_bytes + MOMENTS), 0, processes)
    copies = 1 if zero == 3 else 2
    return CheckpointSize(n_parameters * weight_bytes * copies, n_parameters * (MASTERS + MOMENTS) / processes, processes)
