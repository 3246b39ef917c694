"""The model in training as a sampling engine: generation by transformers, with the weights as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import Trainer
from trl.models.utils import unwrap_model_for_generation

from stillhouse.models.chat_formats import ChatFormat
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Engine
from stillhouse.sampling.transformers import InMemoryEngine


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
        trainer.accelerator.autocast(),
    ):  # fmt: skip
        yield InMemoryEngine(model, chat, sampling)
    trainer.model.train(was_training)
