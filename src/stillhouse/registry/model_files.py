"""What of a checkpoint is the model: the files that transformers and vLLM load, with its card; not the records of its training."""

from fnmatch import fnmatchcase
from pathlib import Path

from stillhouse.artifacts import manifest as manifests
from stillhouse.models.references import is_artifact
from stillhouse.registry.model_card import CARD

PATTERNS = (
    "config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "adapter_config.json", "*.gguf",
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model", "*.tiktoken",
    "chat_template*", "preprocessor_config.json", "processor_config.json", "LICENSE*", "NOTICE*",
)  # fmt: skip
OTHERS = ("optimizer*",)


def gathered(checkpoint: Path, card: str, directory: Path) -> Path:
    """A directory in the Hugging Face format: links to the checkpoint's files, and its card."""
    directory.mkdir(parents=True)
    for path in sorted(checkpoint.iterdir()):
        if _is_model_file(path.name):
            (directory / path.name).symlink_to(path.resolve())
    (directory / CARD).write_text(card, encoding="utf-8")
    return directory


def stored_at(checkpoint: str) -> str | None:
    """Where the files of an artifact on S3 lie, if a server that reads S3 can take them from there under their own names."""
    if not (is_artifact(checkpoint) and checkpoint.startswith("s3://")):
        return None
    manifest = manifests.load(checkpoint)
    places = [manifests.location(checkpoint, manifest, name) for name in manifest.files if _is_model_file(name)]
    names = [name for name in manifest.files if _is_model_file(name)]
    directories = {directory for directory, _ in places}
    return directories.pop() if len(directories) == 1 and [stored for _, stored in places] == names else None


def _is_model_file(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in PATTERNS) and not any(fnmatchcase(name, other) for other in OTHERS)
