"""The optimizer that a config names, as the trainer is told of it.

Where its state lies changes no result, so the environment decides: with ``STILLHOUSE_PAGED_OPTIMIZER=on`` bitsandbytes keeps
AdamW's moments in memory that the GPU shares with the host, which takes what the GPU has no room for.
"""

from importlib.util import find_spec
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer

from stillhouse.errors import BadConfig
from stillhouse.training.config import AdamW8Bit, Adapters, Muon, UpdateSettings
from stillhouse.training.machine import fsdp, zero
from stillhouse.training.muon import MuonWithAdamW
from stillhouse.vocabulary import environment

PAGED = "STILLHOUSE_PAGED_OPTIMIZER"


def arguments(settings: UpdateSettings) -> dict[str, Any]:
    """Trainer arguments about the optimizer, the clipping of gradients, and the loss of a mixture of experts."""
    optimizer = settings.optimizer
    result: dict[str, Any] = {
        "adam_beta1": optimizer.beta1, "adam_beta2": optimizer.beta2, "adam_epsilon": optimizer.epsilon,
        "max_grad_norm": settings.clip_norm, "router_aux_loss_coef": settings.router_loss,
    }  # fmt: skip
    paged, eight_bit = environment.switch(PAGED, default=False), isinstance(optimizer, AdamW8Bit)
    if eight_bit or paged:
        result["optim"] = f"{'paged_' if paged else ''}adamw_{'8bit' if eight_bit else '32bit'}"
    return result


def require_support(settings: UpdateSettings, adapters: Adapters | None) -> None:
    """Raise BadConfig for an optimizer that cannot step this training on this machine; called before a model loads."""
    optimizer, paged = settings.optimizer, environment.switch(PAGED, default=False)
    sharding = f"STILLHOUSE_SHARDING={environment.text('STILLHOUSE_SHARDING')}"
    if isinstance(optimizer, Muon):
        _require_whole_matrices(adapters, sharding, paged=paged)
    if paged and not torch.cuda.is_available():
        msg = f"{PAGED}=on: there is no GPU whose memory could be paged; set it to off"
        raise BadConfig(msg)
    if (paged or isinstance(optimizer, AdamW8Bit)) and find_spec("bitsandbytes") is None:
        name = f"{PAGED}=on" if paged else "optimizer.kind adamw_8bit"
        msg = f"{name}: the package bitsandbytes is not installed; install `stillhouse[train]`"
        raise BadConfig(msg)
    if (paged or isinstance(optimizer, AdamW8Bit)) and fsdp.is_chosen():
        name = f"{PAGED}=on" if paged else "optimizer.kind adamw_8bit"
        msg = f"{name}: not with {sharding}, since bitsandbytes steps no shares of torch's; choose zero-2 or zero-3"
        raise BadConfig(msg)
    if isinstance(optimizer, AdamW8Bit) and zero.offloads():
        msg = f"optimizer.kind adamw_8bit: not with {sharding}, whose optimizer steps on the host; choose zero-2 or zero-3"
        raise BadConfig(msg)


def _require_whole_matrices(adapters: Adapters | None, sharding: str, *, paged: bool) -> None:
    """Raise BadConfig for what Muon cannot step: it needs whole matrices, and those of the model itself."""
    problem = None
    if adapters:
        problem = "lora: an adapter's matrices are narrow, and to make their momentum orthogonal means nothing; choose adamw"
    elif zero.stage() or fsdp.is_chosen():
        problem = f"{sharding}: each process steps shares of weights, and Muon needs whole matrices; leave it unset"
    elif paged:
        problem = f"{PAGED}=on: only AdamW's moments can be paged; set it to off"
    if problem:
        msg = f"optimizer.kind muon: not with {problem}"
        raise BadConfig(msg)


def require_router(model: PreTrainedModel, settings: UpdateSettings) -> None:
    """Raise BadConfig for a loss of a mixture of experts on a model that is none, or does not return its router's logits."""
    if settings.router_loss and not hasattr(model.config.get_text_config(), "output_router_logits"):
        name = type(model).__name__
        msg = f"router_loss={settings.router_loss:g}: {name} is no mixture of experts that returns router logits; leave it out"
        raise BadConfig(msg)


def install(trainer: Trainer, settings: UpdateSettings) -> None:
    """Give the trainer an optimizer that its arguments cannot name."""
    if isinstance(settings.optimizer, Muon):
        decayed = set(trainer.get_decay_parameter_names(trainer.model))
        trainer.optimizer = MuonWithAdamW(
            trainer.model, settings.optimizer, trainer.args.learning_rate, trainer.args.weight_decay, decayed
        )  # fmt: skip
