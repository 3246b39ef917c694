"""Several optimizer steps on one batch of rollouts, a share of it each, also where a checkpoint falls between them."""

from pathlib import Path
from typing import Any

import torch
from trl import GRPOTrainer

from stillhouse.errors import BadConfig
from stillhouse.execution import processes

FILE = "rollouts-{rank}.pt"
"""In a checkpoint between two steps on the same rollouts: those of one rank, as TRL's batches."""


class RolloutReuseMixin(GRPOTrainer):
    """A trainer that keeps the rollouts which are not yet used up with its checkpoints."""

    _step: int
    """TRL's: forward passes so far."""

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, torch.Tensor]:
        """The rollouts of one forward pass. TRL counts its passes from 0 after a resume; here they go on."""
        if self._step == 0:
            self._step = self.state.global_step * self.args.gradient_accumulation_steps
        inputs: dict[str, torch.Tensor] = super()._prepare_inputs(generation_batch)
        return inputs

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        if self.state.global_step * self.args.gradient_accumulation_steps % self.args.steps_per_generation:
            path = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / FILE.format(rank=processes.rank())
            torch.save(self._buffered_inputs, path)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Raises BadConfig if other processes than those of the earlier try would have to go on with its rollouts."""
        super()._load_optimizer_and_scheduler(checkpoint)
        files = list(Path(checkpoint).glob(FILE.format(rank="*"))) if checkpoint else []
        if files and len(files) != processes.count():
            msg = (
                f"{Path(checkpoint or '').name} of an earlier try lies between two steps on the rollouts of {len(files)} "
                f"processes, this one has {processes.count()}; run it as before, or under another --output"
            )
            raise BadConfig(msg)
        if files:
            own = Path(checkpoint or "") / FILE.format(rank=processes.rank())
            self._buffered_inputs = torch.load(own, map_location=self.accelerator.device, weights_only=True)
