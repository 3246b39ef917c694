"""A model and a recipe -> the very tokens that training would show the model, and which of them it would learn."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from stillhouse.artifacts import tables
from stillhouse.errors import EngineFailed, NothingToDo
from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import ChatFormat, Unlearnable
from stillhouse.training.data.shown_tokens import ShownToken, shown
from stillhouse.training.data.tokens import examples_of
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.sft.config import SftConfig
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Message, Selected

SAMPLE: tuple[Message, ...] = (
    {"role": "user", "content": "What is 7 * 8?"},
    {"role": "assistant", "content": "<think>\n7 times 8 is 56.\n</think>\n<answer>56</answer>"},
)
"""The conversation that is shown if no examples are given."""


@dataclass(frozen=True)
class Inspection:
    """What training would do with a model's template."""

    facts: list[str]
    """Sentences about the template."""
    examples: list[list[ShownToken]]
    unlearnable: list[str]
    """Rows that would be dropped, each with the reason."""


def inspect(directory: Path, config: SftConfig | RlConfig, selected: Path | None, most: int) -> Inspection:
    """Up to ``most`` examples of the config's split, or the sample conversation, as the config's training has them.

    Raises EngineFailed if there is no tokenizer, or if the template's prompts and responses cannot be told apart; NothingToDo if
    the split has no example.
    """
    tokenizer, generation = _loaded(directory)
    chat = chat_templates.prepare(tokenizer, config.chat_template, config.eos_token, config.chat_template_kwargs)
    examples, unlearnable = list[list[ShownToken]](), list[str]()
    for row in _rows(config, selected, most):
        try:
            tokens = examples_of(row, config, chat)
        except Unlearnable as error:
            unlearnable.append(f"{row.example_id}: {error.reason}: {error}")
        else:
            examples += [shown(example.ids, example.learnt, tokenizer) for example in tokens]
    return Inspection(facts(chat, generation), examples, unlearnable)


def facts(chat: ChatFormat, generation: GenerationConfig | None) -> list[str]:
    """What the template does, in sentences."""
    stops = chat.tokenizer.convert_ids_to_tokens(chat_templates.stop_ids(chat, generation))
    own = f"{chat.prefill + chat.think_open!r} thinking {chat.think_close!r} answer {chat.end!r}"
    sentences = [f"a turn ends with {chat.end_token}; responses stop at {', '.join(stops)}", f"the model's own format: {own}"]
    if chat.prefill:
        sentences.append(f"the prompt opens the thinking with {chat.prefill!r}, which is therefore read and not learnt")
    if chat.is_thinking_closed:
        sentences.append("the prompt closes the thinking before it begins: responses with thinking are dropped")
    if chat.header:
        sentences.append(f"{chat.header!r} stands between a prompt and its response, and is learnt")
    if chat.tokenizer.pad_token_id == chat.end_id:
        sentences.append("padding is the token that ends a turn: it is learnt at the end of a turn, and nowhere else")
    return [*chat.notes, *sentences]


def _loaded(directory: Path) -> tuple[PreTrainedTokenizerBase, GenerationConfig | None]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        msg = f"model {directory}: no tokenizer can be loaded: {one_line(error)}; give a directory in the Hugging Face format"
        raise EngineFailed(msg) from error
    path = directory / "generation_config.json"
    return tokenizer, GenerationConfig.from_dict(json.loads(path.read_bytes())) if path.is_file() else None


def _rows(config: SftConfig | RlConfig, selected: Path | None, most: int) -> Sequence[Selected]:
    if selected is None:
        return [Selected("sample", "sample", config.split, "full", list(SAMPLE), "math")]
    rows = list(islice((row for row in tables.read(selected, Selected) if row.split == config.split), most))
    if not rows:
        msg = f"inspect: split {config.split!r} has no example in the selected artifact; set split to one that it has"
        raise NothingToDo(msg)
    return rows
