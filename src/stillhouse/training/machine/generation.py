"""What a model that is in training uses while it generates: an attention backend and kernels that suit one token at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

from stillhouse.training.machine import attention, liger


@contextmanager
def suited(model: PreTrainedModel) -> Iterator[None]:
    """While the block generates with transformers, the model's attention and modules suit generation."""
    with attention.generating(model), liger.unfused(model):
        yield
