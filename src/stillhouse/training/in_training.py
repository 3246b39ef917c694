"""The model in training as a sampling engine: generation by transformers, with the weights as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import Trainer
from trl.models.utils import unwrap_model_for_generation

from stillhouse.execution import processes
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Engine
from stillhouse.sampling.transformers import InMemoryEngine
from stillhouse.training.machine import fsdp, generation


def share() -> tuple[slice, bool]:
    """Which of the questions this rank asks, and whether what it measures counts.

    With FSDP2 all ranks write together, token by token, so they ask the same questions, and rank 0's count.
    """
    if fsdp.is_chosen():
        return slice(None), processes.rank() == 0
    return slice(processes.rank(), None, processes.count()), True


@contextmanager
def engine(trainer: Trainer, chat: ChatFormat, sampling: Sampling) -> Iterator[Engine]:
    """The engine; partitioned weights are gathered while the block runs, so all ranks enter and leave together."""
    was_training = trainer.model.training
    trainer.model.eval()
    checkpointing = trainer.args.gradient_checkpointing_kwargs
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped, trainer.accelerator, gradient_checkpointing_kwargs=checkpointing
        ) as model,
        generation.suited(model),
        trainer.accelerator.autocast(),
    ):  # fmt: skip
        yield InMemoryEngine(model, chat, sampling)
    trainer.model.train(was_training)
