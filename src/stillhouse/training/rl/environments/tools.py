"""The tools that a model may call: a calculator, Python in the sandbox, and functions of the user's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transformers.utils import get_json_schema
from transformers.utils.chat_template_utils import DocstringParsingException, TypeHintParsingException

from stillhouse.errors import BadConfig
from stillhouse.execution import extensions
from stillhouse.training.rl.config import BUILT_IN_TOOLS
from stillhouse.training.rl.environments.calculator import calculate
from stillhouse.training.rl.environments.python_tool import PythonTool
from stillhouse.vocabulary.masking import one_line


@dataclass(frozen=True)
class Tool:
    """A function that a model may call."""

    name: str
    schema: dict[str, Any]
    """JSON schema of its name, purpose and arguments, as chat templates take it."""
    call: Callable[..., object]
    """What it returns is shown to the model as text."""


def load_tools(names: Sequence[str], timeout_s: float) -> list[Tool]:
    """The tools by their names in the config. Raises BadConfig if one cannot be imported or described.

    ``timeout_s``: seconds of processor time that a program of the tool ``python`` may take.
    """
    return [_tool(name, timeout_s) for name in names]


def _tool(name: str, timeout_s: float) -> Tool:
    if name == "calculator":
        return _described(calculate, "calculator")
    if name == "python":
        return _described(PythonTool(timeout_s).run, "python")
    function = extensions.load("tools", name, BUILT_IN_TOOLS)
    if not callable(function):
        msg = f"tool {name.partition('@')[0]}: {type(function).__name__} cannot be called; name a function"
        raise BadConfig(msg)
    return _described(function, name.partition("@")[0].rpartition(":")[2])


def _described(function: Callable[..., object], name: str) -> Tool:
    try:
        schema = get_json_schema(function)
    except (DocstringParsingException, TypeHintParsingException) as error:
        msg = (
            f"tool {name}: its docstring or type hints do not describe it: {one_line(error)}; write what it does, and `Args:` "
            "with a line `name: meaning` for each argument"
        )
        raise BadConfig(msg) from error
    schema["function"]["name"] = name
    return Tool(name, schema, function)
