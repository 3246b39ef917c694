"""Low-rank adapters: train a small addition to a large model; publish it alone, or merged into the model's weights."""

import json
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.distributed.tensor import DTensor
from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.models import adapter_merging, hub_files, weight_files
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training import models
from stillhouse.training.config import Adapters, Lora
from stillhouse.training.machine import zero

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

LEAST_NORM = 0.1
"""Least norm of a trained token's row in the output head, as a share of the median."""
BASE_LAYER, ADAPTER_PART = ".base_layer.", ".lora_"
"""In peft's names of weights: what a layer with an adapter puts before its own, and before the adapter's."""


def peft_config(adapters: Adapters) -> "LoraConfig":
    """The adapters as peft describes them."""
    from peft import LoraConfig  # not installed in every environment that trains

    return LoraConfig(
        r=adapters.rank, lora_alpha=adapters.alpha, lora_dropout=adapters.dropout, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip


def require_support(adapters: Adapters | None) -> None:
    """Raise BadConfig for adapters that cannot be trained on this machine, or by this sharding; called before a model loads."""
    if adapters is None:
        return
    zero.require_whole_weights("lora")
    if not isinstance(adapters, Lora) or adapters.quantize is None:
        return
    if not torch.cuda.is_available():
        msg = f"lora.quantize={adapters.quantize}: there is no GPU, and weights in 4 bits need one; leave it out to train here"
        raise BadConfig(msg)
    if find_spec("bitsandbytes") is None:
        msg = f"lora.quantize={adapters.quantize}: the package bitsandbytes is not installed; install `stillhouse[train]`"
        raise BadConfig(msg)


def quantization(adapters: Adapters | None) -> BitsAndBytesConfig | None:
    """How the base is loaded: NF4 with double quantisation, computed in bf16 (QLoRA §3); None for its own precision."""
    if not isinstance(adapters, Lora) or adapters.quantize is None:
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=adapters.quantize, bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip


def require_trained_end(model: PreTrainedModel, chat: ChatFormat) -> None:
    """Raise EngineFailed if the token that ends a turn was never trained: adapters leave a token's own rows as they are.

    Base models have such tokens in reserve; their rows stay near 0, or all alike.
    """
    rows = model.get_output_embeddings().weight.detach()
    norms = rows.float().norm(dim=1)
    if norms[chat.end_id] < LEAST_NORM * norms.median():
        norm, usual = float(norms[chat.end_id]), float(norms.median())
        msg = (
            f"lora: {chat.end_token} ends a turn, and the base model was never trained on it (its row has norm {norm:.2g}, others "
            f"{usual:.2g}); adapters leave that row as it is: leave out lora, start from the instruction-tuned model, or set "
            "chat_template to plain, which ends a turn with the base's own eos"
        )
        raise EngineFailed(msg)


def engine_weights(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight under the base model's name, with its adapter added, whole if processes share it (FSDP2: all ranks call).

    The model's own weights are only read: to merge and unmerge them, as peft can, would leave them rounded differently every time.
    """
    if not hasattr(model, "get_base_model"):
        for name, value in model.state_dict().items():
            yield name, value.full_tensor() if isinstance(value, DTensor) else value
        return
    base = model.get_base_model()
    adapted = {name: module for name, module in base.named_modules() if hasattr(module, "get_delta_weight")}
    for name, value in base.state_dict().items():
        if ADAPTER_PART in name:
            continue
        layer = name.removesuffix(f"{BASE_LAYER}weight")
        if layer != name:
            yield f"{layer}.weight", value + adapted[layer].get_delta_weight("default").detach().to(value.dtype)
        else:
            yield name.replace(BASE_LAYER, "."), value


def save(
    model: "PreTrainedModel | PeftModel", tokenizer: PreTrainedTokenizerBase, directory: Path, adapters: Adapters, base: Path | None
) -> None:
    """Write what the config publishes: the adapters, or the model with the adapters merged into its weights.

    ``base``: the checkpoint that the adapters were trained on. One that was held in 4 bits is merged with in its own precision.
    """
    if adapters.publish == "adapter":
        _save_adapter(model, tokenizer, directory, base)
    elif quantization(adapters) is None or base is None:
        models.save(model.merge_and_unload(), tokenizer, directory)
    else:
        with tempfile.TemporaryDirectory(dir=directory.parent) as alone:
            _save_adapter(model, tokenizer, Path(alone), base)
            adapter_merging.merge(base, Path(alone), directory, "checkpoint")


def _save_adapter(model: "PeftModel", tokenizer: PreTrainedTokenizerBase, directory: Path, base: Path | None) -> None:
    """The adapters as peft saves them, with the tokenizer and the stop tokens that they were trained with."""
    model.save_pretrained(directory)
    settings = directory / weight_files.ADAPTER_CONFIG
    # peft writes the base's path on this machine, which means nothing elsewhere: the manifest says which checkpoint it was.
    on_hub = hub_files.model_at(base) if base else None
    named = json.loads(settings.read_bytes()) | {"base_model_name_or_path": on_hub.repo if on_hub else None}
    settings.write_text(json.dumps(named, indent=2, sort_keys=True), encoding="utf-8")
    model.get_base_model().generation_config.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)  # peft's model card, empty and with the path of the base on this machine
