"""The optimizer's state, carried from one RL stage over the border to the next."""

from pathlib import Path
from typing import Any

from stillhouse.errors import BadConfig

FILE = "optimizer.pt"
"""Beside the weights of a checkpoint: AdamW's moments of every parameter, in the model's order."""


def save(trainer: Any, directory: Path) -> None:
    """Write the state beside the weights."""
    import torch

    torch.save(trainer.optimizer.state_dict(), directory / FILE)


def steps(checkpoint: Path) -> float:
    """How many steps the state beside a checkpoint's weights has seen."""
    import torch

    state = torch.load(checkpoint / FILE, weights_only=True, mmap=True)["state"]
    return float(max((each["step"] for each in state.values()), default=0))


def carried(checkpoint: Path) -> Any:
    """A ``TrainerCallback`` that begins with the state beside a checkpoint's weights; the learning rate stays the new stage's.

    Raises BadConfig where the checkpoint has none, or that of another architecture.
    """
    from transformers import TrainerCallback

    path = checkpoint / FILE
    if not path.is_file():
        msg = f"carry_optimizer: the checkpoint has no {FILE}; begin from an rl artifact made with keep_optimizer: true"
        raise BadConfig(msg)

    def of(optimizer: Any, state: Any) -> bool:
        """Whether the moments have the shapes of the optimizer's parameters."""
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        moments = {int(place): each["exp_avg"].shape for place, each in state["state"].items()}
        return moments == {place: each.shape for place, each in enumerate(parameters)}

    class Carried(TrainerCallback):  # type: ignore[misc]
        """Loads the state before the first step; a resumed training has its own."""

        def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
            """Once, when optimizer and schedule are there."""
            import torch

            if state.global_step:
                return
            groups, found = [dict(group) for group in optimizer.param_groups], torch.load(path, weights_only=True)
            if not of(optimizer, found):
                msg = f"carry_optimizer: {FILE} is of a model with other weights than the checkpoint's; set it to false"
                raise BadConfig(msg)
            optimizer.load_state_dict(found)
            for group, own in zip(optimizer.param_groups, groups, strict=True):
                group.update({name: value for name, value in own.items() if name != "params"})

    return Carried()
