"""Tiny random models of the architectures that people use, each with the habits of its tokenizer and its chat template.

The templates are written from their published descriptions: the same text around a conversation of plain turns, without tools.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import GenerationConfig, PreTrainedTokenizerFast, set_seed

TEXTS = [
    "What is 3 + 4? It is 7.\n\nWhat is 12 + 7?\n<think>\n12 + 7 = 19\n</think>\n\n<answer>19</answer>\n",
    "system user assistant model\n\nYou are a helpful assistant.\n\n\n I think that it must be 7.",
]
WORDS = Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SYSTEM_CHATML = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

CHATML = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
QWEN2_5 = (
    "{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\n" + SYSTEM_CHATML + "<|im_end|>\n' }}{%- endif -%}" + CHATML
)
QWEN3 = (
    "{%- set ns = namespace(last=-1) -%}{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}"
    "{%- endif -%}{%- endfor -%}{%- for m in messages -%}{%- set text = m.content -%}{%- set thought = '' -%}"
    "{%- if m.role == 'assistant' -%}{%- if m.reasoning_content is string -%}{%- set thought = m.reasoning_content -%}"
    "{%- elif '</think>' in text -%}{%- set thought = text.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') -%}"
    "{%- set text = text.split('</think>')[-1].lstrip('\n') -%}{%- endif -%}{{ '<|im_start|>assistant\n' }}"
    "{%- if loop.index0 > ns.last and (loop.last or thought) -%}"
    "{{ '<think>\n' + thought.strip('\n') + '\n</think>\n\n' + text.lstrip('\n') }}{%- else -%}{{ text }}{%- endif -%}"
    "{%- else -%}{{ '<|im_start|>' + m.role + '\n' + text }}{%- endif -%}{{ '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- if enable_thinking is defined and not enable_thinking -%}"
    "{{ '<think>\n\n</think>\n\n' }}{%- endif -%}{%- endif -%}"
)
LLAMA3 = (
    "{{ bos_token }}{%- for m in messages -%}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
    "{{ m.content | trim + '<|eot_id|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif -%}"
)
GEMMA = (
    "{{ bos_token }}{%- if messages[0].role == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}"
    "{%- for m in messages -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim + '<end_of_turn>\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
GEMMA3 = (
    "{{ bos_token }}{%- set first = '' -%}{%- if messages[0].role == 'system' -%}{%- set first = messages[0].content + '\n\n' -%}"
    "{%- set messages = messages[1:] -%}{%- endif -%}{%- for m in messages -%}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + (first if loop.first else '') }}"
    "{{ m.content | trim + '<end_of_turn>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
MISTRAL = (
    "{{ bos_token }}{%- set first = '' -%}{%- if messages[0].role == 'system' -%}{%- set first = messages[0].content + '\n\n' -%}"
    "{%- set messages = messages[1:] -%}{%- endif -%}{%- for m in messages -%}{%- if m.role == 'user' -%}"
    "{{ '[INST] ' + (first if loop.last or loop.length == loop.index + 1 else '') + m.content + '[/INST]' }}"
    "{%- else -%}{{ ' ' + m.content | trim + eos_token }}{%- endif -%}{%- endfor -%}"
)
R1_DISTILL = (
    "{{ bos_token }}{%- for m in messages -%}{%- if m.role == 'system' -%}{{ m.content }}{%- endif -%}{%- endfor -%}"
    "{%- for m in messages -%}{%- if m.role == 'user' -%}{{ '<｜User｜>' + m.content }}{%- elif m.role == 'assistant' -%}"
    "{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<｜Assistant｜><think>\n' }}{%- endif -%}"
)
PHI3 = (
    "{%- for m in messages -%}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>\n' }}{%- else -%}{{ eos_token }}{%- endif -%}"
)
GPT_OSS = (
    "{{ '<|start|>system<|message|>You are ChatGPT.\nReasoning: ' + (reasoning_effort or 'medium') + '<|end|>' }}"
    "{%- if messages[0].role == 'system' -%}"
    "{{ '<|start|>developer<|message|># Instructions\n\n' + messages[0].content + '<|end|>' }}"
    "{%- set messages = messages[1:] -%}{%- endif -%}{%- for m in messages -%}{%- if m.role == 'user' -%}"
    "{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}{%- else -%}{%- if loop.last and m.thinking -%}"
    "{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{%- endif -%}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + ('<|return|>' if loop.last else '<|end|>') }}"
    "{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|start|>assistant' }}{%- endif -%}"
)


@dataclass(frozen=True)
class Architecture:
    """One architecture, as small as it can be."""

    config: str
    """The class of its config in transformers."""
    template: str
    special: tuple[str, ...]
    eos: str
    ends: tuple[str, ...]
    """Every eos of its generation config."""
    bos: str | None = None
    pad: str | None = None
    is_sentencepiece: bool = False
    """Spaces as ▁ and bytes as a last resort, instead of bytes throughout."""
    tags: tuple[str, ...] = ()
    """Tags of thinking that are tokens of their own."""
    options: dict[str, Any] = field(default_factory=dict)


SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "head_dim": 32, "max_position_embeddings": 512,
}  # fmt: skip
IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK_TAGS = ("<think>", "</think>")
ARCHITECTURES = {
    "llama3": Architecture(
        "LlamaConfig", LLAMA3, ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>", ("<|end_of_text|>", "<|eot_id|>"), bos="<|begin_of_text|>",
    ),
    "qwen2.5": Architecture("Qwen2Config", QWEN2_5, IM, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"), pad="<|endoftext|>"),
    "qwen2.5-base": Architecture("Qwen2Config", QWEN2_5, IM, "<|endoftext|>", ("<|endoftext|>",), pad="<|endoftext|>"),
    "qwen3": Architecture(
        "Qwen3Config", QWEN3, IM, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"), pad="<|endoftext|>", tags=THINK_TAGS
    ),
    "gemma": Architecture(
        "GemmaConfig", GEMMA, ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"), "<eos>",
        ("<eos>", "<end_of_turn>"), bos="<bos>", pad="<pad>", is_sentencepiece=True,
    ),
    "gemma3": Architecture(
        "Gemma3TextConfig", GEMMA3, ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"), "<eos>",
        ("<eos>", "<end_of_turn>"), bos="<bos>", pad="<pad>", is_sentencepiece=True,
        options={"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "mistral": Architecture(
        "MistralConfig", MISTRAL, ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), "</s>", ("</s>",), bos="<s>",
        is_sentencepiece=True, options={"sliding_window": None},
    ),
    "r1-distill": Architecture(
        "Qwen2Config", R1_DISTILL, ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"), "<｜end▁of▁sentence｜>",
        ("<｜end▁of▁sentence｜>",),
        bos="<｜begin▁of▁sentence｜>", pad="<｜end▁of▁sentence｜>", tags=("<｜User｜>", "<｜Assistant｜>", *THINK_TAGS),
    ),
    "phi3": Architecture(
        "Phi3Config", PHI3, ("<unk>", "<s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "<|endoftext|>",
        ("<|endoftext|>", "<|assistant|>", "<|end|>"), bos="<s>", pad="<|endoftext|>", is_sentencepiece=True,
        options={"sliding_window": None},
    ),
    "smollm2": Architecture("LlamaConfig", CHATML, IM, "<|im_end|>", ("<|im_end|>",), bos="<|im_start|>", pad="<|im_end|>"),
    "gpt-oss": Architecture(
        "GptOssConfig", GPT_OSS,
        ("<|endoftext|>", "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"), "<|return|>",
        ("<|return|>", "<|endoftext|>", "<|call|>"), pad="<|endoftext|>",
        options={"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 64},
    ),
}  # fmt: skip


def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of an architecture, trained on TEXTS."""
    kind = ARCHITECTURES[name]
    tokenizer = _sentencepiece(kind) if kind.is_sentencepiece else _bytes(kind)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in kind.tags])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=kind.eos, bos_token=kind.bos, pad_token=kind.pad, chat_template=kind.template,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def _bytes(kind: Architecture) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    split = pre_tokenizers.Split(WORDS, "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS * 4,
        trainers.BpeTrainer(vocab_size=360, special_tokens=list(kind.special), initial_alphabet=alphabet, show_progress=False),
    )
    return tokenizer


def _sentencepiece(kind: Architecture) -> Tokenizer:
    special = list(kind.special) + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.train_from_iterator(
        TEXTS * 4, trainers.BpeTrainer(vocab_size=480, special_tokens=special, show_progress=False, max_token_length=8)
    )
    trained = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in trained["merges"]]
    # Bytes are a part of the vocabulary and no special tokens.
    tokenizer = Tokenizer(BPE(trained["vocab"], merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    swallowing = kind.config == "Phi3Config"
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False, rstrip=swallowing) for token in kind.special])
    if kind.bos == "<bos>":  # Gemma: no space before a text
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    first = [] if kind.bos == "<bos>" else [decoders.Strip(content=" ", left=1)]
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *first])
    return tokenizer


def save(name: str, directory: Path) -> Path:
    """Write the architecture's random model, its tokenizer and its generation config as a plain Hugging Face directory."""
    kind, tokenizer = ARCHITECTURES[name], tokenizer_of(name)
    ids = [tokenizer.convert_tokens_to_ids(token) for token in kind.ends]
    set_seed(0)
    config = getattr(transformers, kind.config)(
        **SIZES, **kind.options, vocab_size=len(tokenizer), tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = GenerationConfig(eos_token_id=ids, bos_token_id=tokenizer.bos_token_id)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
