"""What a model talks to during a rollout.

To add an environment, write a class like ``Environment`` and name it in a recipe: ``environment: {kind: "module:attribute"}``, or
by an entry point of the group ``stillhouse.environments``.
"""

from collections.abc import Callable
from typing import Protocol, cast

from stillhouse.errors import BadConfig
from stillhouse.execution import extensions
from stillhouse.training.rl.config import TOOLS, EnvironmentConfig
from stillhouse.training.rl.environments.tool_use import ToolUse
from stillhouse.training.rl.environments.tools import load_tools
from stillhouse.vocabulary.rows import Question


class Environment(Protocol):
    """The other side of one rollout; it is constructed with the question, once for each rollout."""

    instructions: str = ""
    """What the system prompt says of it; the same for all questions."""

    def reply(self, turn: str) -> str | None:
        """What is said to the model after its turn, thinking included; None ends the rollout.

        What it raises, and that it took too long, is told to the model and counted.
        """


def load(config: EnvironmentConfig) -> Callable[[Question], Environment]:
    """What makes the environment of a rollout. Raises BadConfig if it or a tool cannot be imported."""
    if config.kind == TOOLS:
        return ToolUse.of(config)
    factory = extensions.load("environments", config.kind, {TOOLS: ""})
    subject = f"environment {config.kind.partition('@')[0]}"
    if not callable(factory):
        msg = f"{subject}: {type(factory).__name__} cannot be called; name a class that is constructed with a question"
        raise BadConfig(msg)
    extensions.require_one_argument(factory, subject, "the question")
    if isinstance(factory, type) and not callable(getattr(factory, "reply", None)):
        msg = f"{subject}: it has no method `reply(turn)`; see {Environment.__module__}"
        raise BadConfig(msg)
    return cast("Callable[[Question], Environment]", factory)


def instructions(config: EnvironmentConfig) -> str:
    """What the system prompt says of the environment; empty if it is not announced. Raises BadConfig as ``load`` does."""
    if not config.announce:
        return ""
    if config.kind == TOOLS:
        return ToolUse(load_tools(config.tools, config.timeout_s)).instructions
    return str(getattr(load(config), "instructions", ""))
