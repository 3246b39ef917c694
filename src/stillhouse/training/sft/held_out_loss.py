"""The loss on examples that are not trained on: by the trainer's own loss, over all their learnt tokens."""

import torch
from datasets import Dataset
from trl import SFTTrainer

from stillhouse.execution import processes
from stillhouse.training.data.tokens import IGNORED


def loss(trainer: SFTTrainer, dataset: Dataset) -> float:
    """The mean negative log-likelihood of a learnt token, in nats; all ranks, each with its share of the forward passes."""
    size = trainer.args.per_device_train_batch_size
    batches = [range(start, min(start + size, len(dataset))) for start in range(0, len(dataset), size)]
    was_training = trainer.model.training
    trainer.model.eval()
    total, n_tokens = 0.0, 0.0
    # All ranks make equally many passes, because weights may be partitioned: the last ones may count for nothing.
    for first in range(0, len(batches), processes.count()):
        number = first + processes.rank()
        mean, n = _mean_loss(trainer, [dataset[row] for row in batches[number % len(batches)]])
        if number < len(batches):
            total, n_tokens = total + mean * n, n_tokens + n
    trainer.model.train(was_training)
    trainer._metrics["eval"].clear()
    total, n_tokens = processes.combined([total, n_tokens], trainer.accelerator.device, "sum")
    return total / n_tokens


def _mean_loss(trainer: SFTTrainer, rows: list[dict[str, object]]) -> tuple[float, int]:
    """The mean loss of the rows' learnt tokens, and their number."""
    batch = trainer._prepare_inputs(trainer.data_collator(rows))
    n = int((batch["labels"][:, 1:] != IGNORED).sum())
    with torch.no_grad(), trainer.compute_loss_context_manager():
        return float(trainer.compute_loss(trainer.model_wrapped, batch)), n
