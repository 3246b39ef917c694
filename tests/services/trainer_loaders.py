"""Read an exported folder with a trainer's own loader: ``python -m tests.services.trainer_loaders TRAINER PACKAGES FOLDER``.

Prints what the loader made of the rows as JSON. The packages lie apart and without their dependencies (``make loaders``): what
their modules import for sound, video and clusters, which no loader of texts calls, is replaced by empty modules.
"""

import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

UNUSED = {"av", "flash_attn", "hdfs_io", "ray", "tensordict", "torchaudio", "transfer_queue"}
"""Packages that the loaders' modules import and do not call."""
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class _Empty(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Unused(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the packages that are not used, and makes them empty modules."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in UNUSED else None

    def create_module(self, spec: Any) -> _Empty:
        module = _Empty(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: Any) -> None:
        """Nothing to do."""


def tokenizer() -> Any:
    """One token for each byte, and the two marks of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fast = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|im_end|>", pad_token="<|im_end|>")
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    made.chat_template = CHAT_TEMPLATE
    return made


def llama_factory(folder: Path) -> Any:
    """The aligned rows of every data set that ``dataset_info.json`` names."""
    from llamafactory.data import loader, parser

    names = json.loads((folder / "dataset_info.json").read_text())
    data = SimpleNamespace(
        dataset_dir=str(folder), media_dir=str(folder), streaming=False, max_samples=None, preprocessing_num_workers=1,
        overwrite_cache=True,
    )  # fmt: skip
    model = SimpleNamespace(cache_dir=str(folder.parent / "cache"), hf_hub_token=None)
    rows = {}
    for entry in parser.get_dataset_list(list(names), str(folder)):
        aligned = loader._load_single_dataset(entry, model, data, SimpleNamespace(local_process_index=0))
        rows[entry.dataset_name] = [{name: row[name] for name in ("_prompt", "_response", "_system")} for row in aligned]
    return rows


def verl(folder: Path) -> Any:
    """The rows of verl's RL data, and the texts that its SFT learns."""
    from omegaconf import OmegaConf
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
    from verl.utils.dataset.rl_dataset import RLHFDataset

    config = OmegaConf.create({"max_prompt_length": 4096, "max_length": 4096, "cache_dir": str(folder.parent / "cache")})
    config = OmegaConf.merge(config, {"filter_overlong_prompts_workers": 1, "truncation": "right", "pad_mode": "no_padding"})
    prompts = RLHFDataset([str(path) for path in sorted((folder / "verl/rl_1").iterdir())], tokenizer(), config)
    answers = MultiTurnSFTDataset([str(path) for path in sorted((folder / "messages/anneal").iterdir())], tokenizer(), config)
    asked = [{name: row[name] for name in ("raw_prompt", "data_source", "ability", "reward_model", "index")} for row in prompts]
    learnt = [tokenizer().decode(row["input_ids"][row["loss_mask"].bool()]) for row in (answers[n] for n in range(len(answers)))]
    return {"rl": asked, "sft": learnt}


def axolotl(folder: Path) -> Any:
    """The texts that axolotl learns, by its strategies for chat templates and Alpaca."""
    import datasets
    from axolotl.prompt_strategies import alpaca_w_system, chat_template
    from axolotl.utils.dict import DictDefault

    config = DictDefault({"train_on_inputs": False, "sequence_len": 4096, "chat_template": "tokenizer_default"})
    chat = chat_template.load(tokenizer(), config, {"type": "chat_template", "field_messages": "messages"})
    alpaca = alpaca_w_system.load(tokenizer(), config)
    learnt = {}
    for form, strategy in (("messages", chat), ("alpaca", alpaca)):
        rows = datasets.load_dataset("parquet", data_dir=str(folder / form / "anneal"), cache_dir=str(folder.parent / "cache"))[
            "train"
        ]
        tokens = [strategy.tokenize_prompt(row) for row in rows]
        learnt[form] = [tokenizer().decode([token for token in row["labels"] if token != -100]) for row in tokens]
    return learnt


def main() -> None:
    """Run one trainer's loader."""
    trainer, packages, folder = sys.argv[1:]
    sys.meta_path.append(_Unused())
    sys.path.append(packages)
    print(json.dumps({"llama_factory": llama_factory, "verl": verl, "axolotl": axolotl}[trainer](Path(folder))))


if __name__ == "__main__":
    main()
