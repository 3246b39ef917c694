"""What the two schemas of conversations share: turns with an info each.

The last turn is the response if it is the assistant's; the turns before it are the question.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from stillhouse.exchange.record import Unfit, parsed
from stillhouse.vocabulary.rows import Message

ROLES = ("system", "user", "assistant", "tool")


class Turn(Protocol):
    """A turn of either schema."""

    info: Any


def split(messages: Sequence[Message]) -> tuple[list[Message], str | None]:
    """The question, and the response to it if there is one. Raises Unfit for a conversation without a question."""
    for message in messages:
        if message["role"] not in ROLES:
            msg = f"role {message['role']!r} is none of {', '.join(ROLES)}"
            raise Unfit(msg)
    answered = bool(messages) and messages[-1]["role"] == "assistant"
    asked = list(messages[:-1]) if answered else list(messages)
    if not asked:
        msg = "no turn that asks"
        raise Unfit(msg)
    return asked, messages[-1]["content"] if answered else None


def latest(turns: Sequence[Turn], name: str) -> Any:
    """The value of an info column in the last turn that has one."""
    values = (getattr(turn.info, name) for turn in reversed(turns) if turn.info is not None)
    return next((value for value in values if value is not None), None)


def told_apart(info: Any, text: str) -> tuple[str | None, str | None]:
    """The response's thinking and answer as its info has them; parsed where the info does not say."""
    said = {} if info is None else {name: getattr(info, name) for name in info.model_fields_set}
    think, answer = parsed(text)
    return said.get("think_content", think), said.get("answer_content", answer)
