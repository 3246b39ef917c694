"""What ``stillhouse STAGE --help`` says of a stage: its inputs, and every field of its config and of what is nested in it."""

import inspect
import json

from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from rich.markup import escape

from stillhouse.execution.contract import Stage, input_names
from stillhouse.execution.recipes import directly, models

NOTES = {"previous": "an earlier version whose rows are taken over where nothing changed; latest is the one published last"}
"""What an input of this name means in every stage that takes it."""


def stage_help(stage: Stage) -> str:
    """The stage's first line, its inputs and its fields with their defaults as ``--set`` takes them, as rich markup."""
    lines = [(stage.__doc__ or "").strip().split("\n")[0], "", "[bold]Inputs[/bold]", ""]
    lines += [f"{name} ({_amount(name, kind)})\n" for name, kind in input_names(stage.Inputs).items()] or ["none\n"]
    lines += ["[bold]Config[/bold]", "", *_fields(stage.Config)]
    nested = {model.__name__: model for model in models(stage.Config) if model is not stage.Config}
    for model in nested.values():
        first = " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())
        lines += [f"[bold]{model.__name__}[/bold]", "", f"{escape(first)}\n", *_fields(model)]
    return "\n".join(lines)


def _fields(config_type: type[BaseModel]) -> list[str]:
    lines = []
    for field, info in config_type.model_fields.items():
        value = json.dumps(to_jsonable_python(info.get_default(call_default_factory=True), fallback=str), ensure_ascii=False)
        default = "required" if info.is_required() else f"default {value}"
        text = escape(f"{info.description or ''} ({default})").replace("``", "`")
        belongs = [model.__name__ for model in directly(info.annotation)]
        see = f"; see {', '.join(belongs)}" if belongs else ""
        lines.append(f"[cyan]{field}[/cyan] — {text}{see}\n")
    return lines


def _amount(name: str, kind: str) -> str:
    note = NOTES.get(name)
    return f"{kind}: {note}" if note else kind
