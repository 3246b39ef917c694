"""What a model that is in training uses while it generates: an attention backend and kernels that suit one token at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from accelerate import Accelerator
from transformers import PreTrainedModel

from stillhouse.models.loadable import ROUTER_LOGITS
from stillhouse.training.machine import attention, fsdp, liger


@contextmanager
def suited(model: PreTrainedModel) -> Iterator[None]:
    """While the block generates with transformers, the model's attention and modules suit generation."""
    with attention.generating(model), liger.unfused(model), _without_router_logits(model):
        yield


@contextmanager
def cast_once(accelerator: Accelerator) -> Iterator[None]:
    """While the block generates, autocast casts each weight once, and not again for every token.

    The copies are as large as those of a training pass. With FSDP2 they would keep on every rank what is shared out, so there each
    pass casts its own.
    """
    with nullcontext() if fsdp.is_chosen() else accelerator.autocast():
        yield


@contextmanager
def _without_router_logits(model: PreTrainedModel) -> Iterator[None]:
    """While the block runs, a mixture of experts returns no router logits.

    transformers weighs them by the attention mask, which covers the cached tokens too, and fails on rows of different lengths.
    """
    config = model.config.get_text_config()
    before = getattr(config, ROUTER_LOGITS, False)
    if before:
        setattr(config, ROUTER_LOGITS, False)
    try:
        yield
    finally:
        if before:
            setattr(config, ROUTER_LOGITS, before)
