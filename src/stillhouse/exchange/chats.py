"""Turns in every common form -> messages: OpenAI's with parts and tool calls, ShareGPT's with tool roles, TRL's, verl's."""

import json
from typing import Any

from stillhouse.exchange.record import Unfit
from stillhouse.exchange.thoughts import one_form
from stillhouse.exchange.turns import ROLES
from stillhouse.vocabulary.rows import Message

OUR_ROLES = {
    "human": "user", "prompter": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "bing": "assistant", "developer": "system", "function_call": "assistant", "tool_call": "assistant", "observation": "tool",
    "function": "tool", "function_response": "tool", "tool_response": "tool", "ipython": "tool",
} | {role: role for role in ROLES}  # fmt: skip
"""A data set's word for a role, in lower case -> ours. A call of a tool is what the assistant says."""
RESPONSE_KEYS = ("response", "completion", "output", "text", "generation", "content")
"""Keys of an object that may hold a response: natural_reasoning keeps it beside the model's name."""
THINKING = ("reasoning_content", "reasoning", "thinking", "thought")
"""Keys of a turn that may hold its thinking."""


def messages(path: str, value: Any) -> list[Message]:
    """The messages of a list of turns, or of its JSON text. Raises Unfit, which names the path."""
    turns = _loaded(value) if isinstance(value, str) else value
    if not isinstance(turns, list):
        msg = f"{path}: {type(value).__name__}, not a list of turns"
        raise Unfit(msg, "bad_type")
    last = len(turns) - 1
    return [_message(path, turn, is_last=number == last) for number, turn in enumerate(turns)]


def reply(path: str, value: Any) -> str:
    """A response: a text, or turns that end with the assistant's, or one turn. Raises Unfit."""
    if isinstance(value, str):
        return one_form(value)
    if isinstance(value, dict) and "role" not in value and "from" not in value:
        named = next((value[key] for key in RESPONSE_KEYS if isinstance(value.get(key), str)), None)
        if named is not None:
            return one_form(named)
    turns = messages(path, value if isinstance(value, list) else [value])
    if not turns or turns[-1]["role"] != "assistant":
        msg = f"{path}: no turn of the assistant's at the end"
        raise Unfit(msg, "bad_value")
    return turns[-1]["content"]


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _message(path: str, value: Any, *, is_last: bool) -> Message:
    turn = value if isinstance(value, dict) else {}
    word, content = turn.get("role", turn.get("from")), _content(path, turn)
    if not isinstance(word, str) or content is None:
        msg = f"{path}: {type(value).__name__}, not turns of role and content"
        raise Unfit(msg, "bad_type")
    role = OUR_ROLES.get(word.lower(), word)
    if role != "assistant":
        return {"role": role, "content": content}
    thinking = next((turn[key] for key in THINKING if isinstance(turn.get(key), str)), None)
    return {"role": role, "content": one_form(content, thinking) if is_last else content}


def _content(path: str, turn: dict[str, Any]) -> str | None:
    """The text of a turn: its content, the texts of its parts, or its tool calls as JSON; None without any."""
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):
        content = "\n".join(_part(path, part) for part in content)
    if calls := turn.get("tool_calls"):
        written = json.dumps(calls, ensure_ascii=False)
        return f"{content}\n{written}" if content else written
    return content if isinstance(content, str) else None


def _part(path: str, part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    if not isinstance(text, str):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        msg = f"{path}: a part of type {kind}; only parts of text are read"
        raise Unfit(msg, "bad_type")
    return text
