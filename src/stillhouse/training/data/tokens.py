"""A training example -> token ids, and which of them are learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stillhouse.errors import EngineFailed
from stillhouse.vocabulary.rows import Message

LossOn = Literal["final", "assistant"]
IGNORED = -100
"""The label of a token that is read and not learnt."""


@dataclass(frozen=True)
class Tokens:
    """The ids of a conversation, and its learnt tokens as places from one to before the other."""

    ids: list[int]
    learnt: list[tuple[int, int]]


def require_chat_template(tokenizer: Any) -> None:
    """Raises EngineFailed for a tokenizer without a chat template: conversations could not be told apart."""
    if not tokenizer.chat_template:
        msg = "checkpoint: its tokenizer has no chat template; add one to tokenizer_config.json, or start from a chat model"
        raise EngineFailed(msg)


def tokenised(messages: Sequence[Message], tokenizer: Any, loss_on: LossOn) -> Tokens:
    """The conversation's tokens, and which of them the loss is on.

    The loss is on the last message (``final``; AM-Thinking-v1 §5.3) or on every one of the assistant's (``assistant``), each with
    the tokens that end its turn. Raises EngineFailed where the chat template writes a conversation's beginning in another way once
    it goes on: then no token could be told to belong to a turn.
    """
    whole, learnt, last = _ids(tokenizer, messages), [], len(messages) - 1
    for place in [last] if loss_on == "final" else [each for each, turn in enumerate(messages) if turn["role"] == "assistant"]:
        before = _ids(tokenizer, messages[:place], prompt=True)
        through = whole if place == last else _ids(tokenizer, messages[: place + 1])
        if whole[: len(before)] != before or whole[: len(through)] != through:
            msg = f"checkpoint: its chat template rewrites turns before number {place + 1} once it is added; set loss_on to final"
            raise EngineFailed(msg)
        learnt.append((len(before), len(through)))
    return Tokens(whole, learnt)


def _ids(tokenizer: Any, messages: Sequence[Message], *, prompt: bool = False) -> list[int]:
    found = tokenizer.apply_chat_template(list(messages), add_generation_prompt=prompt, return_dict=True)["input_ids"]
    return list(found)
