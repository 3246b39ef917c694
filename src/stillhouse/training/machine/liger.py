"""Liger's fused kernels for norms and MLPs, in the update alone: the same numbers to rounding, in less time and memory.

They change no result beyond rounding, so the environment decides: ``STILLHOUSE_LIGER`` is ``on``, ``off``, or ``auto`` (default),
which uses them if they are installed, there is a GPU to run them, and liger knows the architecture.

Generation token by token is bound by launches, and each fused kernel costs more of them in Python: rollouts of a model of 1 B took
half as long again with them on one H100. So ``unfused`` puts the model's own modules back while it generates. Rotary embeddings are
left out: liger replaces them for the whole process. The loss is fused by TRL, which never makes all logits at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from transformers import PreTrainedModel

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.vocabulary import environment

PACKAGE = "liger_kernel"
CHOICES = ("auto", "on", "off")
NO_GPU = "there is no GPU"
LEFT_OUT = {"rope": False, "cross_entropy": False, "fused_linear_cross_entropy": False}


def apply(model: PreTrainedModel) -> None:
    """Fuse the model's norms and MLPs. Raises BadConfig if ``on`` cannot be had; on a GPU, ``auto`` prints why it does without."""
    wanted = environment.text("STILLHOUSE_LIGER", "auto")
    if wanted not in CHOICES:
        msg = f"STILLHOUSE_LIGER={wanted}: not one of {', '.join(CHOICES)}"
        raise BadConfig(msg)
    if wanted == "off":
        return
    obstacle = _obstacle(model)
    if obstacle is None:
        _fuse(model)
    elif wanted == "on":
        msg = (
            f"STILLHOUSE_LIGER=on: {obstacle}; install `stillhouse[train,liger]` on a machine with a GPU, or set it to auto or off"
        )
        raise BadConfig(msg)
    elif obstacle != NO_GPU and processes.rank() == 0:
        print(f"  without liger kernels: {obstacle}", file=sys.stderr, flush=True)


def _obstacle(model: PreTrainedModel) -> str | None:
    """Why liger's kernels cannot run here; None if they can."""
    if not torch.cuda.is_available():
        return NO_GPU
    if find_spec(PACKAGE) is None:
        return "liger-kernel is not installed"
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN  # needs Triton: GPU machines have it

    kind = model.config.model_type
    return None if kind in MODEL_TYPE_TO_APPLY_LIGER_FN else f"liger has no kernels for models of type {kind}"


def _fuse(model: PreTrainedModel) -> None:
    """Fuse this model's modules alone: liger also replaces classes of their source module, which are put back."""
    from liger_kernel.transformers import _apply_liger_kernel_to_instance  # needs Triton, as above

    source = vars(sys.modules[type(model).__module__])
    before = dict(source)
    _apply_liger_kernel_to_instance(model, **LEFT_OUT)
    source.update(before)


@contextmanager
def unfused(model: torch.nn.Module) -> Iterator[None]:
    """While the block generates, the model's modules run their own code instead of liger's."""
    fused = {module: forward for module in model.modules() if (forward := _fused_forward(module))}
    for module in fused:
        del module.forward
    try:
        yield
    finally:
        for module, forward in fused.items():
            module.forward = forward


def _fused_forward(module: torch.nn.Module) -> object | None:
    """The forward pass that liger set on a module; None if it runs its own."""
    forward = vars(module).get("forward")
    return forward if getattr(forward, "__module__", "").split(".")[0] == PACKAGE else None
