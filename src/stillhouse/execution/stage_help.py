"""What ``stillhouse STAGE --help`` says of a stage: its inputs and every field of its config."""

from rich.markup import escape

from stillhouse.execution.contract import Stage, input_names


def stage_help(stage: Stage) -> str:
    """The stage's first line, its inputs and its fields with their defaults, as rich markup."""
    lines = [(stage.__doc__ or "").strip().split("\n")[0], "", "[bold]Inputs[/bold]", ""]
    lines += [f"{name} ({kind})\n" for name, kind in input_names(stage.Inputs).items()] or ["none\n"]
    lines += ["[bold]Config[/bold]", ""]
    for field, info in stage.Config.model_fields.items():
        default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)!r}"
        text = escape(f"{info.description or ''} ({default})")
        lines.append(f"[cyan]{field}[/cyan] — {text}\n")
    return "\n".join(lines)
