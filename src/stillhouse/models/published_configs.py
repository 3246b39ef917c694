"""A model's ``config.json`` without its weights: from a file, a directory, the hub, or a few that were published."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from stillhouse.errors import BadConfig, MissingInput, nearest
from stillhouse.models import hub_models
from stillhouse.models.cache import hub_cache
from stillhouse.models.references import HubModel, is_reference, parse

FILE = "config.json"


def _qwen(
    hidden: int, intermediate: int, layers: int, heads: int, key_heads: int, vocabulary: int, *, tied: bool
) -> dict[str, Any]:
    return {
        "model_type": "qwen2", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": key_heads, "vocab_size": vocabulary, "tie_word_embeddings": tied,
    }  # fmt: skip


PUBLISHED = {
    "Qwen2.5-0.5B": _qwen(896, 4864, 24, 14, 2, 151_936, tied=True),
    "Qwen2.5-1.5B": _qwen(1536, 8960, 28, 12, 2, 151_936, tied=True),
    "Qwen2.5-3B": _qwen(2048, 11_008, 36, 16, 2, 151_936, tied=True),
    "Qwen2.5-7B": _qwen(3584, 18_944, 28, 28, 4, 152_064, tied=False),
    "Qwen2.5-14B": _qwen(5120, 13_824, 48, 40, 8, 152_064, tied=False),
    "Qwen2.5-32B": _qwen(5120, 27_648, 64, 40, 8, 152_064, tied=False),
    "Qwen2.5-72B": _qwen(8192, 29_568, 80, 64, 8, 152_064, tied=False),
}
"""Sizes from the models' own ``config.json`` (Qwen2.5 Technical Report, table 1)."""


def read(model: str) -> dict[str, Any]:
    """The config of the language model; of a model with further parts, that of its text.

    Raises MissingInput if there is no such file, BadConfig for an unknown name or a file that is no config; HubFailed if the hub
    does not answer.
    """
    known = {name.lower(): config for name, config in PUBLISHED.items()}
    if config := known.get(model.lower()):
        return config
    path = _path(model)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"model {model}: {path.name} cannot be read as a model's config; give a directory in the Hugging Face format"
        raise MissingInput(msg) from error
    if not isinstance(config, dict):
        msg = f"model {model}: {path.name} is no model's config; give a directory in the Hugging Face format"
        raise BadConfig(msg)
    return dict(config.get("text_config") or config)


def _path(model: str) -> Path:
    path = Path(model.removeprefix("file://"))
    if path.is_file():
        return path
    if (path / FILE).is_file():
        return path / FILE
    reference = parse(model) if is_reference(model) else None
    if isinstance(reference, HubModel):
        return Path(hub_models.answered(reference, lambda: _downloaded(reference)))
    if path.is_dir():
        msg = f"model {model}: the directory has no {FILE}; give a model in the Hugging Face format"
        raise MissingInput(msg)
    msg = f"model {model}: no directory, no {FILE} and no known name; {nearest(model, PUBLISHED, 'names')}, or hf://ORG/NAME"
    raise BadConfig(msg)


def _downloaded(model: HubModel) -> str:
    return str(hf_hub_download(model.repo, FILE, revision=model.revision, cache_dir=hub_cache(), endpoint=hub_models.endpoint()))
