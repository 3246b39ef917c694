"""One training: resume from the newest checkpoint of an earlier try, save on SIGTERM, stop at a loss that is not finite."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from stillhouse.errors import EngineFailed
from stillhouse.execution import processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training import checkpoints, lora, metrics_file, models
from stillhouse.training.config import Adapters
from stillhouse.training.machine import out_of_memory, zero
from stillhouse.training.validation_watch import ValidationWatch
from stillhouse.vocabulary.text import shortened

N_TOKENS = "num_tokens"
"""What a checkpoint keeps of the tokens trained on: SFTTrainer counts them itself, and forgets them on a resume."""
SHOWN_CHARS = 120
"""Characters of the batch that the error on a loss that is not finite shows."""

Batch = Mapping[str, torch.Tensor] | Sequence[Mapping[str, Any]]
"""Tensors by name (SFT: ``input_ids`` of shape (rows, tokens) among them), or rows with their prompts (GRPO)."""


def train(
    trainer: Trainer,
    inputs: StageInputs,
    remember: Callable[[], dict[str, Any]] = dict,
    recall: Callable[[dict[str, Any]], None] = lambda _: None,
    watch: ValidationWatch | None = None,
) -> dict[str, float]:
    """Train to the end; returns the metrics of the validation.

    ``remember`` returns what to keep with each checkpoint; ``recall`` gets it back on a resume. ``watch`` measures in between, and
    leaves the trainer with the weights to publish.

    Raises Preempted after SIGTERM: a checkpoint is published first, and the same command resumes from it.
    """
    checkpoint = checkpoints.newest(inputs)
    if checkpoint:
        trainer._total_train_tokens = checkpoint[1].get(N_TOKENS, 0)
        recall(checkpoint[1])
        if watch:
            watch.recall(checkpoint[1], checkpoint[0].parent)
        if processes.rank() == 0:
            metrics_file.copy(checkpoint[0], inputs.output)

    def remembered() -> dict[str, Any]:
        return remember() | {N_TOKENS: trainer._total_train_tokens} | (watch.remember() if watch else {})

    with checkpoints.preemption() as preempted, processes.peers():
        best = (lambda: watch.best_file) if watch else (lambda: None)
        publisher = checkpoints.PublishCheckpoints(inputs, remembered, preempted, best)
        if watch:
            trainer.add_callback(watch)
        trainer.add_callback(publisher)
        with publisher:
            out_of_memory.train(trainer, checkpoint[0] if checkpoint else None)
            metrics = watch.finish() if watch and not preempted.asked else {}
    checkpoints.clear(inputs)
    return metrics


def save(
    trainer: Trainer,
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    adapters: Adapters | None = None,
    base: Path | None = None,
    dtype: str = "fp32",
) -> dict[str, float]:
    """Write the whole trained weights as a checkpoint, or what ``adapters`` publish; all ranks call, rank 0 writes.

    ``base``: the checkpoint that the adapters were trained on. ``dtype``: of whole weights as published, whatever the sharding.
    Returns its bits, as a metric for the manifest.
    """
    if adapters:
        if processes.rank() == 0:
            lora.save(trainer.model, tokenizer, directory, adapters, base)
        return {}
    weights = zero.masters(trainer)
    if processes.rank() == 0:
        models.save(trainer.model, tokenizer, directory, weights, dtype)
    return {"published_weight_bits": 8.0 * models.DTYPES[dtype].itemsize}


class FiniteLossMixin(Trainer):
    """A trainer that stops at a loss that is not finite, instead of going on for days."""

    def training_step(
        self, model: PreTrainedModel, inputs: Batch, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """One forward and backward pass: the loss, a scalar. Raises EngineFailed if it is not finite."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not loss.isfinite().all():
            msg = (
                f"the loss is {loss.item():g} in step {self.state.global_step + 1}, on a batch that begins "
                f"{_beginning(inputs, self.processing_class)!r}; lower learning_rate, or look at those rows"
            )
            raise EngineFailed(msg)
        return loss


def _beginning(batch: Batch, tokenizer: PreTrainedTokenizerBase) -> str:
    """The first characters of a batch: of its tokens in SFT, of its first prompt in GRPO."""
    if isinstance(batch, Mapping):
        return shortened(str(tokenizer.decode(batch["input_ids"][0])), SHOWN_CHARS)
    return shortened(str(batch[0]["prompt"][-1]["content"]), SHOWN_CHARS)
