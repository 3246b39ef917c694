"""Turns with an ``info`` each, as both schemas of conversations have them.

The last turn is the response if the assistant speaks it; the turns before it are the question.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from stillhouse.exchange.record import Unfit, parsed
from stillhouse.exchange.thoughts import one_form
from stillhouse.vocabulary.rows import Message

ROLES = ("system", "user", "assistant", "tool")


class TurnWithInfo(Protocol):
    """A turn of either schema."""

    info: Any


def split(messages: Sequence[Message]) -> tuple[list[Message], str | None]:
    """The question, and the response to it if there is one. Raises Unfit for a conversation without a question."""
    for message in messages:
        if message["role"] not in ROLES:
            msg = f"role {message['role']!r} is not one of {', '.join(ROLES)}"
            raise Unfit(msg)
    answered = bool(messages) and messages[-1]["role"] == "assistant"
    question = list(messages[:-1]) if answered else list(messages)
    if not question:
        msg = "no turn before the assistant's: no question"
        raise Unfit(msg)
    return question, one_form(messages[-1]["content"]) if answered else None


def latest(turns: Sequence[TurnWithInfo], name: str) -> Any:
    """The value of an info column in the last turn that has one."""
    values = (getattr(turn.info, name) for turn in reversed(turns) if turn.info is not None)
    return next((value for value in values if value is not None), None)


def think_and_answer(info: Any, text: str) -> tuple[str | None, str | None]:
    """The response's thinking and answer from its info; parsed from the text if the info lacks them."""
    columns = {} if info is None else {name: getattr(info, name) for name in info.model_fields_set}
    think, answer = parsed(text)
    return columns.get("think_content", think), columns.get("answer_content", answer)
