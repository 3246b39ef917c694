"""The attention backend of a training: the same numbers to rounding, in other time and memory.

No result beyond rounding depends on it, so the environment decides: ``STILLHOUSE_ATTENTION`` names one of transformers' backends,
or is ``auto`` (default), which takes flash attention where it is installed and there is a GPU for it, else what the model comes
with. sdpa holds a mask of every pair of a pack's tokens, a gigabyte for 32,768: packs of that length need one of the others.
"""

import os
import sys
from importlib.util import find_spec
from typing import Any

from stillhouse.errors import BadConfig, nearest, one_line

PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
"""What has to be installed, by backend."""
ON_A_GPU = ("flex_attention", *PACKAGES)
"""Backends that cannot train on a CPU."""
BACKENDS = ("sdpa", "eager", *ON_A_GPU)


def choose(model: Any) -> None:
    """Have the model use the backend that the environment asks for.

    Raises BadConfig for one that is not known, cannot run here, or is none of the model's; on a GPU ``auto`` says why it goes
    without flash attention.
    """
    asked = os.environ.get("STILLHOUSE_ATTENTION") or "auto"
    if asked not in {"auto", *BACKENDS}:
        msg = f"STILLHOUSE_ATTENTION={asked}: no attention backend; {nearest(asked, ('auto', *BACKENDS), 'backends')}"
        raise BadConfig(msg)
    backend = "flash_attention_2" if asked == "auto" else asked
    why = absent(backend) or _set(model, backend)
    if why is None:
        return
    if asked != "auto":
        msg = f"STILLHOUSE_ATTENTION={asked}: {why}; set it to auto, which takes what there is"
        raise BadConfig(msg)
    if _gpu():
        print(f"  without flash attention: {why}", file=sys.stderr, flush=True)


def absent(backend: str) -> str | None:
    """Why a backend cannot train here, None where it can."""
    import torch

    if backend in ON_A_GPU and not _gpu():
        return "there is no GPU for it"
    if backend in PACKAGES and find_spec(PACKAGES[backend]) is None:
        return f"the package {PACKAGES[backend]} is not installed"
    if backend in PACKAGES and not torch.cuda.is_bf16_supported():
        return "it needs bf16, which this GPU has not"
    return None


def _gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _set(model: Any, backend: str) -> str | None:
    """Have the model use a backend; why it does not, None where it does. Some models only warn, and keep their own."""
    try:
        model.set_attn_implementation(backend)
    except (ImportError, ValueError, RuntimeError) as error:
        return f"{type(model).__name__} cannot use it: {one_line(error)}"
    kept = model.config._attn_implementation
    return None if kept == backend else f"{type(model).__name__} has {kept} alone"
