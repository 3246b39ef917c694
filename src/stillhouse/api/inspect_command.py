"""``stillhouse inspect``: the very tokens that a recipe's training would show a model, and which of them it would learn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.errors import BadConfig
from stillhouse.execution.console import PlainConsole

if TYPE_CHECKING:
    from stillhouse.training.data.shown_tokens import ShownToken
    from stillhouse.training.rl.config import RlConfig
    from stillhouse.training.sft.config import SftConfig

LEARNT = ("black on green", "black on bright_green")
"""In turns, so that each token is seen."""


def inspect_model(
    model: Annotated[str, typer.Argument(help="a directory, an artifact, hf://ORG/NAME or models:/NAME@ALIAS", metavar="MODEL")],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="an sft or rl recipe, such as deepdistill-32b/sft", metavar="RECIPE")
    ],
    settings: Annotated[list[str], typer.Option("--set", "-s", help="one field of it", metavar="FIELD=VALUE")] = [],  # noqa: B006 - typer's
    selected: Annotated[str | None, typer.Option(help="a selected artifact, whose first examples are shown", metavar="URI")] = None,
    examples: Annotated[int, typer.Option(help="how many of them", min=1)] = 1,
    page: Annotated[Path | None, typer.Option("--html", help="write them as a page too", metavar="FILE")] = None,
) -> None:
    """Print the tokens that training would show a model; those that it would learn are in colour."""
    from stillhouse.artifacts import integrity
    from stillhouse.artifacts.scratch import scratch_directory
    from stillhouse.artifacts.store import absolute
    from stillhouse.models import references, resolving
    from stillhouse.training.data import shown_tokens
    from stillhouse.training.data.inspection import inspect

    config = _config(recipe, settings)
    directory = resolving.materialise(resolving.pin(references.parse(model)))
    with scratch_directory() as scratch:
        rows = integrity.fetch(absolute(selected), scratch, label="selected") if selected else None
        result = inspect(directory, config, rows, examples)
    _print(result.facts, result.examples, result.unlearnable)
    if page is not None:
        shown_tokens.write_page(page, f"{model}, {recipe}", [*result.facts, *result.unlearnable], result.examples)


def _config(recipe: str, settings: list[str]) -> "SftConfig | RlConfig":
    """The recipe's config. Raises BadConfig, also for a recipe of a stage that does not train."""
    from stillhouse.execution.recipes import resolve
    from stillhouse.training.rl.config import RlConfig
    from stillhouse.training.sft.config import SftConfig

    stage = recipe.removeprefix("@").rsplit("/", 1)[-1].partition("-")[0].partition(".")[0]
    configs: dict[str, type[SftConfig | RlConfig]] = {"sft": SftConfig, "rl": RlConfig}
    if stage not in configs:
        msg = f"--recipe {recipe}: recipes of sft and rl train on tokens, got one of {stage!r}; name it PROFILE/sft… or PROFILE/rl…"
        raise BadConfig(msg)
    return resolve(configs[stage], [f"@{recipe.removeprefix('@')}"], settings)


def _print(facts: list[str], examples: list[list["ShownToken"]], unlearnable: list[str]) -> None:
    from rich.text import Text

    from stillhouse.training.data.shown_tokens import counts, shortened_tokens

    console = PlainConsole(highlight=False, soft_wrap=True, markup=False)
    for fact in facts:
        console.print(f"  {fact}")
    for number, tokens in enumerate(examples, 1):
        console.print(f"example {number}: {counts(tokens)}", style="bold")
        text = Text()
        for token in shortened_tokens(tokens):
            place = len(text.spans) % len(LEARNT)
            text.append(token.text.replace("\n", "↵\n"), LEARNT[place] if token.is_learnt else None)
        console.print(text)
    for row in unlearnable:
        console.print(f"dropped {row}", style="red")
