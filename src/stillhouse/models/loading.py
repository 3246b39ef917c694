"""Load a causal language model by transformers; what its files and its config disagree about is one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from stillhouse.errors import EngineFailed
from stillhouse.models.loadable import is_gguf
from stillhouse.vocabulary.masking import one_line

FAILURES = (
    OSError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError, ImportError, SafetensorError,
    StrictDataclassError,
)  # fmt: skip
"""What transformers raises for files that it cannot make a model or a tokenizer of."""


@contextmanager
def failures(label: str) -> Iterator[None]:
    """While the block loads files by transformers, its errors are EngineFailed, in one line; but not that memory ran out."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except FAILURES as error:
        msg = f"{label}: transformers cannot load it: {one_line(error)}; give a causal language model"
        raise EngineFailed(msg) from error


def causal_model(directory: Path, label: str, *, trusted: bool, **arguments: Any) -> PreTrainedModel:
    """The model with the weights of its files, and no others: transformers would make up at random what they lack.

    ``trusted``: whether its own code may run. ``arguments`` are those of ``from_pretrained``.

    Raises EngineFailed, also if config and weights are of different models.
    """
    with failures(label):
        model, info = AutoModelForCausalLM.from_pretrained(
            directory, trust_remote_code=trusted, output_loading_info=True, ignore_mismatched_sizes=True, **arguments
        )
    if not is_gguf(directory) and (problem := _disagreement(info)):
        msg = f"{label}: its config.json and its weights are of different models: {problem}; take both from one"
        raise EngineFailed(msg)
    loaded: PreTrainedModel = model
    return loaded


def _disagreement(info: dict[str, Any]) -> str | None:
    """What the weights lack, or have in other shapes than the config describes."""
    for name, found, expected in sorted(info["mismatched_keys"]):
        return f"{name} is {_shape(found)} in the weights and {_shape(expected)} by the config"
    if missing := sorted(info["missing_keys"]):
        return f"the weights lack {missing[0]} ({len(missing):,} tensors in all)"
    return None


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
