"""A training example -> token ids, and the labels that say which of them are learnt."""

from collections.abc import Sequence
from typing import Any, Literal

from stillhouse.errors import EngineFailed
from stillhouse.rows import Message

LossOn = Literal["final", "assistant"]
IGNORED = -100
"""The label of a token that is read and not learnt."""


def require_chat_template(tokenizer: Any) -> None:
    """Raises EngineFailed for a tokenizer without a chat template: conversations could not be told apart."""
    if not tokenizer.chat_template:
        msg = "checkpoint: its tokenizer has no chat template; add one to tokenizer_config.json, or start from a chat model"
        raise EngineFailed(msg)


def tokenised(messages: Sequence[Message], tokenizer: Any, loss_on: LossOn) -> dict[str, list[int]]:
    """``input_ids`` of the conversation and ``labels`` of the same length, IGNORED outside what the loss is on.

    The loss is on the last message (``final``; AM-Thinking-v1 §5.3) or on every one of the assistant's (``assistant``), each with
    the tokens that end its turn. Raises EngineFailed where the chat template writes a conversation's beginning in another way once
    it goes on: then no token could be told to belong to a turn.
    """
    whole = _ids(tokenizer, messages)
    labels = [IGNORED] * len(whole)
    last = len(messages) - 1
    for place in [last] if loss_on == "final" else [each for each, turn in enumerate(messages) if turn["role"] == "assistant"]:
        before, through = _ids(tokenizer, messages[:place], prompt=True), _ids(tokenizer, messages[: place + 1])
        if whole[: len(before)] != before or whole[: len(through)] != through:
            msg = f"checkpoint: its chat template rewrites turns before number {place + 1} once it is added; set loss_on to final"
            raise EngineFailed(msg)
        labels[len(before) : len(through)] = whole[len(before) : len(through)]
    return {"input_ids": whole, "labels": labels}


def _ids(tokenizer: Any, messages: Sequence[Message], *, prompt: bool = False) -> list[int]:
    found = tokenizer.apply_chat_template(list(messages), add_generation_prompt=prompt, return_dict=True)["input_ids"]
    return list(found)
