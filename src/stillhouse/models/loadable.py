"""Whether a directory holds a model that can be loaded: asked before a GPU is, and answered in one line."""

import json
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stillhouse.errors import BadConfig, MissingInput
from stillhouse.models import hub_files, weight_files
from stillhouse.vocabulary.text import shortened

CONFIG = "config.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json", "tiktoken.model")
"""Any of these holds a tokenizer's vocabulary."""

TOKENIZER, EOS = "tokenizer.json", "eos_token_id"
READ_AS_JSON = (CONFIG, "generation_config.json", TOKENIZER, "tokenizer_config.json", weight_files.INDEX)

ROUTER_LOGITS = "output_router_logits"
"""The setting by which a mixture of experts returns what its loss of balance needs: of use in training alone."""


def require(directory: Path, label: str) -> None:
    """Raise MissingInput for a directory that is no model, one line for each way in which it may fail to be one."""
    if is_gguf(directory):
        return
    if not (directory / CONFIG).is_file():
        msg = f"model {label}: {_without_config(directory)}"
        raise MissingInput(msg)
    _require_json(directory, label)
    config = _config(directory, label)
    if problem := _unknown_architecture(config):
        msg = f"model {label}: {problem}"
        raise MissingInput(msg)
    weight_files.require_whole(directory, label)
    if not any((directory / name).is_file() for name in TOKENIZERS):
        msg = f"model {label}: it has no tokenizer ({', '.join(TOKENIZERS[:3])}, …); copy the files of the one it was trained with"
        raise MissingInput(msg)


def is_gguf(directory: Path) -> bool:
    """Whether the model is a GGUF file, which holds config, tokenizer and weights in one, for inference alone."""
    return gguf_file(directory) is not None


def gguf_file(directory: Path) -> str | None:
    """The name of the model's GGUF file; None for a model in the Hugging Face format."""
    names = [path.name for path in directory.glob("*.gguf")]
    return names[0] if len(names) == 1 and not any(directory.glob("*.safetensors")) else None


def is_trusted(directory: Path, trusted_code: Sequence[str] = ()) -> bool:
    """Whether the model's own Python code may run: ``trusted_code`` names it, a hub model at this commit.

    Raises BadConfig for a model that cannot be loaded without its code and is not trusted.
    """
    if not (directory / CONFIG).is_file():  # a GGUF file, or nothing: whoever loads it says what is missing
        return False
    model = hub_files.model_at(directory)
    if model is not None and str(model) in trusted_code:
        return True
    config = json.loads((directory / CONFIG).read_bytes())
    if "auto_map" in config and not _is_known(config["model_type"]):
        remedy = f"to run it, set trusted_code: [{model}]" if model else "only that of a hub model at a commit may be trusted"
        msg = f"model {model or directory}: its architecture {config['model_type']} is Python code of its own; {remedy}"
        raise BadConfig(msg)
    return False


def gguf_arguments(directory: Path) -> dict[str, str]:
    """What transformers is told besides the directory of a GGUF model: the file's name."""
    name = gguf_file(directory)
    return {"gguf_file": name} if name else {}


def weights_path(directory: Path) -> Path:
    """What vLLM is given: the directory, or its GGUF file."""
    name = gguf_file(directory)
    return directory / name if name else directory


def _without_config(directory: Path) -> str:
    if (directory / weight_files.ADAPTER_CONFIG).is_file():
        base = json.loads((directory / weight_files.ADAPTER_CONFIG).read_bytes()).get("base_model_name_or_path") or "BASE"
        return f"it is a LoRA adapter; write the base before it, BASE+ADAPTER (it was trained on {base})"
    return f"it has no {CONFIG}; give a directory in the Hugging Face format, as save_pretrained writes it"


def _require_json(directory: Path, label: str) -> None:
    """Raise MissingInput if a file beside the weights is not JSON: transformers would ignore some of them, or name no file."""
    for path in (directory / name for name in READ_AS_JSON if (directory / name).is_file()):
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            msg = f"model {label}: its {path.name} is not JSON ({error}); fetch it again"
            raise MissingInput(msg) from error
        eos = content.get(EOS) if isinstance(content, dict) else None
        if path.name != TOKENIZER and not all(type(token) is int for token in (eos if isinstance(eos, list) else [eos or 0])):
            msg = f"model {label}: {EOS} of its {path.name} is {shortened(repr(eos), 60)}; give a number, or a list of numbers"
            raise MissingInput(msg)


def _config(directory: Path, label: str) -> dict[str, Any]:
    config = json.loads((directory / CONFIG).read_bytes())
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        msg = f"model {label}: its {CONFIG} names no model_type; give a model that transformers can load"
        raise MissingInput(msg)
    return config


def _unknown_architecture(config: dict[str, Any]) -> str | None:
    """What is wrong with the architecture; None if transformers knows it, or is not here to be asked."""
    if find_spec("transformers") is None or "auto_map" in config or _is_known(config["model_type"]):
        return None
    version = metadata.version("transformers")
    return f"transformers {version} does not know its architecture {config['model_type']}; check config.json, or update it"


def _is_known(architecture: str) -> bool:
    """Whether transformers has the architecture. Only what loads models, or is about to, takes the time to import it."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return architecture in CONFIG_MAPPING_NAMES
