"""What ``stillhouse STAGE --help`` says of a stage: its inputs and every field of its config."""

import json

from pydantic_core import to_jsonable_python
from rich.markup import escape

from stillhouse.execution.contract import Stage, input_names

NOTES = {"previous": "an earlier version whose rows are taken over where nothing changed; latest is the one published last"}
"""What an input of this name means in every stage that takes it."""


def stage_help(stage: Stage) -> str:
    """The stage's first line, its inputs and its fields with their defaults as ``--set`` takes them, as rich markup."""
    lines = [(stage.__doc__ or "").strip().split("\n")[0], "", "[bold]Inputs[/bold]", ""]
    lines += [f"{name} ({_amount(name, kind)})\n" for name, kind in input_names(stage.Inputs).items()] or ["none\n"]
    lines += ["[bold]Config[/bold]", ""]
    for field, info in stage.Config.model_fields.items():
        value = json.dumps(to_jsonable_python(info.get_default(call_default_factory=True), fallback=str), ensure_ascii=False)
        default = "required" if info.is_required() else f"default {value}"
        text = escape(f"{info.description or ''} ({default})").replace("``", "`")
        lines.append(f"[cyan]{field}[/cyan] — {text}\n")
    return "\n".join(lines)


def _amount(name: str, kind: str) -> str:
    note = NOTES.get(name)
    return f"{kind}: {note}" if note else kind
