"""One training: from the newest checkpoint of an earlier try, saved and left on SIGTERM, stopped at a loss that is no number."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.errors import EngineFailed
from stillhouse.execution import processes
from stillhouse.training import checkpoints, models
from stillhouse.training.lora import merged
from stillhouse.training.machine import zero

if TYPE_CHECKING:
    from stillhouse.execution.contract import StageInputs

N_TOKENS = "num_tokens"
"""What a checkpoint keeps of the tokens trained on: SFTTrainer counts them itself, and forgets them on a resume."""
SHOWN_CHARS = 120
"""Characters of the batch that the error on a NaN loss shows."""


def train(
    trainer: Any,
    inputs: "StageInputs",
    remember: Callable[[], dict[str, Any]] = dict,
    recall: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Train to the end. ``remember`` says what to keep with each checkpoint, ``recall`` gets it back where one is found.

    Raises Preempted where SIGTERM came: a checkpoint is published then, and the same command goes on from it.
    """
    found = checkpoints.newest(inputs)
    if found:
        trainer._total_train_tokens = found[1].get(N_TOKENS, 0)
        recall(found[1])
    with checkpoints.preemption() as stopping, processes.peers():
        trainer.add_callback(checkpoints.callback(inputs, lambda: remember() | {N_TOKENS: trainer._total_train_tokens}, stopping))
        trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
    checkpoints.clear(inputs)


def save(trainer: Any, tokenizer: Any, directory: Path) -> None:
    """Write the trained weights as a checkpoint, whole, adapters merged; rank 0 writes, all ranks call."""
    weights = zero.weights(trainer)
    if processes.rank() == 0:
        models.save(merged(trainer.model), tokenizer, directory, weights)


def guarded(trainer_class: Any) -> Any:
    """The trainer class with a check of every loss: one that is no number stops the run, which would go on for days."""

    class Guarded(trainer_class):  # type: ignore[misc]
        """Refuses a loss that is not finite."""

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            """One forward and backward pass. Raises EngineFailed."""
            loss = super().training_step(model, inputs, num_items_in_batch)
            if not loss.isfinite().all():
                shown = _shown(inputs, self.processing_class)
                msg = (
                    f"the loss is {loss.item():g} in step {self.state.global_step + 1}, on a batch that begins {shown!r}; "
                    "lower learning_rate, or look at those rows"
                )
                raise EngineFailed(msg)
            return loss

    Guarded.__name__ = trainer_class.__name__
    return Guarded


def _shown(inputs: Any, tokenizer: Any) -> str:
    """The beginning of a batch: of tokens for SFT, of conversations for GRPO."""
    if isinstance(inputs, dict):
        return str(tokenizer.decode(inputs["input_ids"][0]))[:SHOWN_CHARS]
    return str(inputs[0]["prompt"][-1]["content"])[:SHOWN_CHARS]
