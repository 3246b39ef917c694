"""Liger's fused kernels for norms, rotary embeddings and MLPs: the same numbers to rounding, in less time and memory.

They change no result beyond rounding, so the environment decides: ``STILLHOUSE_LIGER`` is ``on``, ``off``, or ``auto`` (default),
which uses them if they are installed and there is a GPU to run them.
"""

import sys
from importlib.util import find_spec
from typing import Any

import torch

from stillhouse.errors import BadConfig
from stillhouse.vocabulary import environment

CHOICES = ("auto", "on", "off")
NO_GPU = "there is no GPU"


def arguments() -> dict[str, Any]:
    """Trainer arguments. Raises BadConfig if ``on`` cannot be had; on a GPU, ``auto`` prints why it does not use the kernels."""
    chosen = environment.text("STILLHOUSE_LIGER", "auto")
    if chosen not in CHOICES:
        msg = f"STILLHOUSE_LIGER={chosen}: not one of {', '.join(CHOICES)}"
        raise BadConfig(msg)
    if chosen == "off":
        return {}
    obstacle = _obstacle()
    if obstacle is None:
        return {"use_liger_kernel": True}
    if chosen == "on":
        msg = (
            f"STILLHOUSE_LIGER=on: {obstacle}; install `stillhouse[train,liger]` on a machine with a GPU, or set it to auto or off"
        )
        raise BadConfig(msg)
    if obstacle != NO_GPU:
        print(f"  without liger kernels: {obstacle}", file=sys.stderr, flush=True)
    return {}


def _obstacle() -> str | None:
    """Why liger's kernels cannot run here; None if they can."""
    if not torch.cuda.is_available():
        return NO_GPU
    return None if find_spec("liger_kernel") else "liger-kernel is not installed"
