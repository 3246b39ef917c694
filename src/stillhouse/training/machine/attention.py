"""The attention backend of a training: the same numbers to rounding, at another cost in time and memory.

No result beyond rounding depends on it, so the environment decides: ``STILLHOUSE_ATTENTION`` names one of transformers' backends,
or is ``auto`` (default), which goes by what is run:

- on a CPU the model's own default, sdpa
- on a GPU flash attention where it is installed: version 3 on Hopper, else version 2
- otherwise flex attention for packs, and the model's own default for single examples, whose mask is short

sdpa holds a mask of every pair of a pack's tokens, a gigabyte for 32,768, and took four times as long as flex attention for packs
of 4,096 on one H100. On a GPU, packs use it only if the environment asks for it.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from transformers import PreTrainedModel

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution import processes
from stillhouse.training.machine import autocast, flex
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line

FLEX = flex.NAME
PACKAGES = {"flash_attention_3": "flash_attn_interface", "flash_attention_2": "flash_attn"}
"""The package each backend needs; the faster first."""
ON_A_GPU = (FLEX, *PACKAGES)
"""Backends that cannot train on a CPU."""
BACKENDS = ("sdpa", "eager", *ON_A_GPU)
HOPPER = (9, 0)
"""The compute capability for which flash attention 3 is built."""
LEAST_HEAD = 16
"""Dimensions of a head that flex attention needs (Triton's matrix products)."""


def choose(model: PreTrainedModel, *, packed: bool = False) -> None:
    """Have the model use the backend that suits the run, or the one that the environment asks for; a GPU's is printed.

    ``packed``: whether several examples share a sequence.

    Raises BadConfig for a backend that is unknown, cannot run here, or is not supported by the model, and if a GPU has no backend
    for packs.
    """
    wanted = environment.text("STILLHOUSE_ATTENTION", "auto")
    if wanted not in {"auto", *BACKENDS}:
        msg = f"STILLHOUSE_ATTENTION={wanted}: no attention backend; {nearest(wanted, ('auto', *BACKENDS), 'backends')}"
        raise BadConfig(msg)
    if wanted == "auto":
        _choose_from(model, suitable(packed=packed), packed=packed)
    elif obstacle := absent(wanted) or set_backend(model, wanted):
        msg = f"STILLHOUSE_ATTENTION={wanted}: {obstacle}; set it to auto, which takes the best one available"
        raise BadConfig(msg)


def suitable(*, packed: bool) -> tuple[str, ...]:
    """Backends for a run on this device, the fastest first; none where the model's own default suits it."""
    if not torch.cuda.is_available():
        return ()
    return (*PACKAGES, FLEX) if packed else tuple(PACKAGES)


def _choose_from(model: PreTrainedModel, backends: Sequence[str], *, packed: bool) -> None:
    """Have the model use the first of the backends that can be used; print why not an earlier one."""
    obstacles: list[str] = []
    for backend in backends:
        obstacle = absent(backend) or set_backend(model, backend)
        if obstacle is None:
            _say(f"attention by {backend}" + "".join(f"; {earlier}" for earlier in obstacles))
            return
        obstacles.append(f"without {backend}: {obstacle}")
    if packed and backends:
        msg = (
            f"packing: no attention backend for packs can be used ({'; '.join(obstacles)}); install flash-attn, set packing to "
            "false, or accept a mask of every pair of tokens with STILLHOUSE_ATTENTION=sdpa"
        )
        raise BadConfig(msg)
    if backends:
        _say(f"attention by {model.config._attn_implementation}" + "".join(f"; {earlier}" for earlier in obstacles))


def absent(backend: str) -> str | None:
    """Why a backend cannot train here; None if it can."""
    if backend in ON_A_GPU and not torch.cuda.is_available():
        return "there is no GPU for it"
    if backend not in PACKAGES:
        return None
    if find_spec(PACKAGES[backend]) is None:
        return f"the package {PACKAGES[backend]} is not installed"
    if not autocast.is_bf16():
        known = torch.cuda.is_bf16_supported()
        return "it needs bf16, which STILLHOUSE_AUTOCAST turns off" if known else "it needs bf16, which this GPU does not support"
    if backend == "flash_attention_3" and torch.cuda.get_device_capability() != HOPPER:
        return "it is built for Hopper GPUs"
    return None


def set_backend(model: PreTrainedModel, backend: str) -> str | None:
    """Have the model use a backend. Returns why it does not, or None; some models only warn and keep their own."""
    obstacle = _flex_obstacle(model) if backend == FLEX else None
    if obstacle:
        return obstacle
    try:
        model.set_attn_implementation(backend)
    except (ImportError, ValueError, RuntimeError) as error:
        return f"{type(model).__name__} cannot use it: {one_line(error)}"
    used = model.config._attn_implementation
    if used != backend:
        return f"{type(model).__name__} supports only {used}"
    if backend == FLEX:
        flex.install()
    return None


def _flex_obstacle(model: PreTrainedModel) -> str | None:
    """Why flex attention cannot train the model; None if it can."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    size = getattr(config, "head_dim", None) or (config.hidden_size // heads if heads else LEAST_HEAD)
    if size < LEAST_HEAD:
        return f"it needs heads of {LEAST_HEAD} dimensions, the model's have {size}"
    return "it has no attention dropout, the model has" if getattr(config, "attention_dropout", 0.0) else None


@contextmanager
def generating(model: PreTrainedModel) -> Iterator[None]:
    """While the block generates token by token, a model that trains with flex attention uses sdpa: one query at a time suits it."""
    if model.config._attn_implementation != FLEX:
        yield
        return
    with using(model, "sdpa"):
        yield


@contextmanager
def using(model: PreTrainedModel, backend: str) -> Iterator[str | None]:
    """While the block runs, the model uses another backend. Yields why it cannot, or None."""
    before = model.config._attn_implementation
    obstacle = set_backend(model, backend)
    try:
        yield obstacle
    finally:
        set_backend(model, before)


def _say(what: str) -> None:
    if processes.rank() == 0:
        print(f"  {what}", file=sys.stderr, flush=True)
