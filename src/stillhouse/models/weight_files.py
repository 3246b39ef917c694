"""The files with a model's weights: which they are, whether they may be loaded, whether they are whole, and their shapes."""

import json
import struct
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from stillhouse.errors import MissingInput

INDEX = "model.safetensors.index.json"
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
LONGEST_HEADER = 100_000_000
"""Bytes; the bound of safetensors itself."""


def chosen(names: Sequence[str], label: str) -> set[str]:
    """The files with weights: safetensors, or the one GGUF file of a model that has no others.

    Raises MissingInput for pickles alone, which run code when they are loaded, for several GGUF files, and for no weights at all.
    """
    if safetensors := {name for name in names if name.endswith(".safetensors") and not name.startswith("consolidated")}:
        return safetensors
    gguf = sorted(name for name in names if name.endswith(".gguf"))
    if len(gguf) == 1:
        return set(gguf)
    if gguf:
        shown = ", ".join(gguf[:3])
        msg = f"model {label}: it holds {len(gguf)} GGUF files ({shown}, …); put the one to run in a directory of its own"
        raise MissingInput(msg)
    pickles = sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in PICKLES))
    if pickles:
        msg = (
            f"model {label}: its weights are pickles ({pickles[0]}), which run code when they are loaded; convert them: "
            "AutoModelForCausalLM.from_pretrained(…).save_pretrained(…) writes safetensors"
        )
        raise MissingInput(msg)
    if INDEX in names:
        msg = f"model {label}: {INDEX} names shards of its weights, and none of them is there; fetch it again"
        raise MissingInput(msg)
    msg = f"model {label}: it holds no weights (*.safetensors or *.gguf); give a model in the Hugging Face format"
    raise MissingInput(msg)


def require_whole(directory: Path, label: str) -> None:
    """Raise MissingInput if a shard of the weights is missing, or a file is shorter than its own header says."""
    present = {path.name for path in directory.iterdir()}
    shards = _indexed(directory, label)
    if missing := sorted(shards - present):
        msg = f"model {label}: {INDEX} names {missing[0]}, which is missing ({len(missing)} of {len(shards)} are); fetch it again"
        raise MissingInput(msg)
    for name in sorted(chosen(sorted(present), label)):
        if name.endswith(".safetensors"):
            header(directory / name, label)


def header(path: Path, label: str) -> Mapping[str, Any]:
    """What a safetensors file says of its tensors: name -> dtype, shape, offsets. Raises MissingInput if it is no whole file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            content: dict[str, Any] = json.loads(file.read(min(length, LONGEST_HEADER)))
        tensors = {name: tensor for name, tensor in content.items() if name != "__metadata__"}
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"model {label}: {path.name} ({size:,} bytes) is no safetensors file; was its download cut short? fetch it again"
        raise MissingInput(msg) from error
    if size != end:
        msg = f"model {label}: {path.name} has {size:,} bytes, and its header says {end:,}; it was cut short: fetch it again"
        raise MissingInput(msg)
    return tensors


def shapes(directory: Path, label: str) -> dict[str, list[int]]:
    """The shape of every tensor in the directory's safetensors files."""
    headers = (header(path, label) for path in sorted(directory.glob("*.safetensors")))
    return {name: tensor["shape"] for tensors in headers for name, tensor in tensors.items()}


def _indexed(directory: Path, label: str) -> set[str]:
    """The files that the index of a sharded model names; empty if it has none."""
    path = directory / INDEX
    if not path.is_file():
        return set()
    try:
        return set(json.loads(path.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"model {label}: {INDEX} is no index of shards; fetch it again"
        raise MissingInput(msg) from error
