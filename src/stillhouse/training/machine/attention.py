"""The attention backend of a training: the same numbers to rounding, at another cost in time and memory.

No result beyond rounding depends on it, so the environment decides: ``STILLHOUSE_ATTENTION`` names one of transformers' backends,
or is ``auto`` (default), which takes flash attention if it is installed and the GPU supports it, and otherwise the model's own
default. sdpa holds a mask of every pair of a pack's tokens, a gigabyte for 32,768: packs of that length need another backend.
"""

import sys
from importlib.util import find_spec

import torch
from transformers import PreTrainedModel

from stillhouse.errors import BadConfig, nearest
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line

PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
"""The package each backend needs."""
ON_A_GPU = ("flex_attention", *PACKAGES)
"""Backends that cannot train on a CPU."""
BACKENDS = ("sdpa", "eager", *ON_A_GPU)


def choose(model: PreTrainedModel) -> None:
    """Have the model use the backend that the environment asks for.

    Raises BadConfig for a backend that is unknown, cannot run here, or is not supported by the model. On a GPU, ``auto`` prints why
    it does not use flash attention.
    """
    chosen = environment.text("STILLHOUSE_ATTENTION", "auto")
    if chosen not in {"auto", *BACKENDS}:
        msg = f"STILLHOUSE_ATTENTION={chosen}: no attention backend; {nearest(chosen, ('auto', *BACKENDS), 'backends')}"
        raise BadConfig(msg)
    backend = "flash_attention_2" if chosen == "auto" else chosen
    obstacle = absent(backend) or _set(model, backend)
    if obstacle is None:
        return
    if chosen != "auto":
        msg = f"STILLHOUSE_ATTENTION={chosen}: {obstacle}; set it to auto, which takes the best one available"
        raise BadConfig(msg)
    if torch.cuda.is_available():
        print(f"  without flash attention: {obstacle}", file=sys.stderr, flush=True)


def absent(backend: str) -> str | None:
    """Why a backend cannot train here; None if it can."""
    if backend in ON_A_GPU and not torch.cuda.is_available():
        return "there is no GPU for it"
    if backend in PACKAGES and find_spec(PACKAGES[backend]) is None:
        return f"the package {PACKAGES[backend]} is not installed"
    if backend in PACKAGES and not torch.cuda.is_bf16_supported():
        return "it needs bf16, which this GPU does not support"
    return None


def _set(model: PreTrainedModel, backend: str) -> str | None:
    """Have the model use a backend. Returns why it does not, or None; some models only warn and keep their own."""
    try:
        model.set_attn_implementation(backend)
    except (ImportError, ValueError, RuntimeError) as error:
        return f"{type(model).__name__} cannot use it: {one_line(error)}"
    kept = model.config._attn_implementation
    return None if kept == backend else f"{type(model).__name__} supports only {kept}"
