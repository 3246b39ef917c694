"""A training example -> token ids, and which of them are learnt."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from stillhouse.errors import EngineFailed
from stillhouse.training.sft.config import LossOn
from stillhouse.vocabulary.rows import Message

IGNORED = -100
"""The label of a token that is read and not learnt."""


@dataclass(frozen=True)
class TokenisedExample:
    """The token ids of a conversation, and its learnt tokens as half-open ranges of positions (begin, end)."""

    ids: list[int]
    learnt: list[tuple[int, int]]


def require_chat_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise EngineFailed if a tokenizer has no chat template: it could not mark who says what."""
    if not tokenizer.chat_template:
        msg = "checkpoint: its tokenizer has no chat template; add one to tokenizer_config.json, or start from a chat model"
        raise EngineFailed(msg)


def tokenised(messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, loss_on: LossOn) -> TokenisedExample:
    """The conversation's tokens, and which of them the loss is on.

    The loss is on the last message (``final``; AM-Thinking-v1 §5.3) or on every assistant turn (``assistant``), each with the
    tokens that end the turn. Raises EngineFailed if the chat template renders earlier turns differently once the conversation goes
    on: then no token could be assigned to a turn.
    """
    whole, learnt, last = _ids(tokenizer, messages), [], len(messages) - 1
    turns = [last] if loss_on == "final" else [number for number, turn in enumerate(messages) if turn["role"] == "assistant"]
    for number in turns:
        before = _ids(tokenizer, messages[:number], prompt=True)
        through = whole if number == last else _ids(tokenizer, messages[: number + 1])
        if whole[: len(before)] != before or whole[: len(through)] != through:
            msg = f"checkpoint: its chat template rewrites turns before number {number + 1} once it is added; set loss_on to final"
            raise EngineFailed(msg)
        learnt.append((len(before), len(through)))
    return TokenisedExample(whole, learnt)


def _ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, prompt: bool = False) -> list[int]:
    return list(tokenizer.apply_chat_template(list(messages), add_generation_prompt=prompt, return_dict=True)["input_ids"])
