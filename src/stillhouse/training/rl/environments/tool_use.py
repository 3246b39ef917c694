"""The environment ``tools``: the model calls functions, and reads what they return.

A call is ``<tool_call>{"name": …, "arguments": {…}}</tool_call>`` in a turn, as Qwen, Hermes and SmolLM write it; a turn may have
several. Results come back in ``<tool_response>`` tags. A turn without a call is the model's last.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from stillhouse.training.rl.config import EnvironmentConfig
from stillhouse.training.rl.environments.tools import Tool, load_tools
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Question

MOST_CALLS = 8
"""Calls of one turn that are made; the papers give no value."""
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


class BadCall(Exception):
    """A call that cannot be made; the message is for the model."""


class ToolUse:
    """One rollout's calls. ``n_calls`` and ``n_failed`` count them."""

    instructions: str

    def __init__(self, tools: Sequence[Tool]) -> None:
        """``tools``: those that may be called."""
        self._tools = {tool.name: tool for tool in tools}
        self.n_calls = self.n_failed = 0
        schemas = "\n".join(json.dumps(tool.schema) for tool in tools)
        self.instructions = (
            'You may call tools. Write <tool_call>{"name": NAME, "arguments": {ARGUMENT: VALUE}}</tool_call> and end your turn. '
            "You then read the result in <tool_response> tags, and may call again or answer. The tools, one JSON schema a line:\n"
            f"{schemas}"
        )

    @classmethod
    def of(cls, config: EnvironmentConfig) -> Callable[[Question], "ToolUse"]:
        """What makes the environment of a rollout. Raises BadConfig if a tool cannot be imported."""
        tools = load_tools(config.tools, config.timeout_s)
        return lambda question: cls(tools)

    def reply(self, turn: str) -> str | None:
        """The results of the turn's calls, in order; None if it has none."""
        calls = _CALL.findall(turn)
        if not calls:
            return None
        results = [self._result(call) for call in calls[:MOST_CALLS]]
        if len(calls) > MOST_CALLS:
            results.append(f"error: {len(calls)} calls in one turn, only the first {MOST_CALLS} were made")
        return "\n".join(f"<tool_response>\n{result}\n</tool_response>" for result in results)

    def _result(self, call: str) -> str:
        self.n_calls += 1
        try:
            name, arguments = self._read(call)
            return str(self._tools[name].call(**arguments))
        except Exception as error:  # noqa: BLE001 # a tool may raise anything: the model reads what went wrong, as with any API
            self.n_failed += 1
            kind = "" if isinstance(error, BadCall) else f"{type(error).__name__}: "
            return f"error: {kind}{one_line(error)}"

    def _read(self, call: str) -> tuple[str, dict[str, Any]]:
        try:
            content = json.loads(call)
            name, arguments = content["name"], content.get("arguments") or {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = 'a call is {"name": …, "arguments": {…}} in JSON'
            raise BadCall(msg) from error
        if name not in self._tools:
            msg = f"no tool {name!r}; tools: {', '.join(self._tools)}"
            raise BadCall(msg)
        if not isinstance(arguments, dict):
            msg = "arguments is a JSON object"
            raise BadCall(msg)
        return name, arguments
