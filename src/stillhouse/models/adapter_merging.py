"""LoRA adapters on a base: refused if they do not fit, else merged into its weights, so that every engine runs the result."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from stillhouse.errors import MissingInput
from stillhouse.models import weight_files
from stillhouse.vocabulary.masking import one_line

PEFT_PREFIX = "base_model.model."
COPIED_PATTERNS = (
    "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab.*",
    "merges.txt",
)  # fmt: skip


def require_fit(base: Path, adapter: Path, label: str) -> None:
    """Raise MissingInput if the adapter was trained on another model than the base, as vocabularies and shapes tell."""
    if not (adapter / weight_files.ADAPTER_CONFIG).is_file():
        msg = f"model {label}: what follows + has no {weight_files.ADAPTER_CONFIG}; give a LoRA adapter, as peft saves it"
        raise MissingInput(msg)
    ours, theirs = _vocabulary(base), _vocabulary(adapter)
    if ours and theirs and ours != theirs:
        n_other = len({*ours.items()} ^ {*theirs.items()})
        sizes = f"{len(theirs):,} tokens, the base's {len(ours):,}, {n_other:,} differ"
        msg = f"model {label}: the adapter has another vocabulary ({sizes}); name the base it was trained on before +"
        raise MissingInput(msg)
    for problem in _misfits(weight_files.shapes(base, label), weight_files.shapes(adapter, label)):
        msg = f"model {label}: the adapter does not fit the base: {problem}; name the base it was trained on before +"
        raise MissingInput(msg)


def merge(base: Path, adapter: Path, directory: Path, label: str) -> None:
    """Write the base with the adapter merged in, in the base's precision; its tokenizer and stop tokens win over the base's.

    Needs memory for the base's weights. Raises EngineFailed if the base cannot be loaded, MissingInput if peft cannot merge them.
    """
    from peft import PeftModel  # not installed in every environment that runs models

    from stillhouse.models.loading import causal_model

    model = causal_model(base, f"model {label}", dtype="auto", trusted=False)
    try:
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        msg = f"model {label}: peft cannot merge the adapter into the base: {one_line(error)}"
        raise MissingInput(msg) from error
    merged.save_pretrained(directory)
    for source in (base, adapter):
        for path in (path for pattern in COPIED_PATTERNS for path in source.glob(pattern)):
            shutil.copyfile(path, directory / path.name)


def _vocabulary(directory: Path) -> dict[str, int]:
    """Token -> id, of a model's ``tokenizer.json``; empty without one."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        return {}
    content = json.loads(path.read_bytes())
    vocabulary = content.get("model", {}).get("vocab", {})
    tokens = dict(vocabulary) if isinstance(vocabulary, dict) else {token: index for index, (token, _) in enumerate(vocabulary)}
    return tokens | {token["content"]: token["id"] for token in content.get("added_tokens", ())}


def _misfits(base: dict[str, list[int]], adapter: dict[str, list[int]]) -> Iterator[str]:
    """What is wrong with each tensor of the adapter: LoRA's A is (rank, inputs), its B (outputs, rank)."""
    for name, shape in sorted(adapter.items()):
        module, _, kind = name.removeprefix(PEFT_PREFIX).partition(".lora_")
        if not kind:
            whole = base.get(module, shape)
            if whole != shape:
                yield f"{module} is {_shape(shape)} in the adapter and {_shape(whole)} in the base"
            continue
        weights = base.get(f"{module}.weight")
        if weights is None:
            yield f"the base has no {module}"
        elif kind.startswith("A.") and shape[1] != weights[1]:
            yield f"{module} takes {shape[1]:,} numbers in the adapter and {weights[1]:,} in the base"
        elif kind.startswith("B.") and shape[0] != weights[0]:
            yield f"{module} gives {shape[0]:,} numbers in the adapter and {weights[0]:,} in the base"


def _shape(shape: list[int]) -> str:
    return " × ".join(map(str, shape))
