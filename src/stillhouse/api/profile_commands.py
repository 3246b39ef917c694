"""``stillhouse profile check``, ``stillhouse profile new`` and ``stillhouse plan``."""

from typing import Annotated

import typer

from stillhouse.execution.console import PlainConsole

out = PlainConsole(highlight=False, soft_wrap=True, markup=False)
profile_app = typer.Typer(help="Check profiles, and start one of your own.", no_args_is_help=True)


@profile_app.command("check")
def profile_check(folder: Annotated[str, typer.Argument(help="the profile's folder, or its name", metavar="DIR")]) -> None:
    """Say what is wrong with a profile, as Airflow would, and what is still to be filled in."""
    from stillhouse.api.profile_checks import check

    checked = check(folder)
    out.print(f"{checked.name}: {checked.pipeline}, {len(checked.recipes)} recipes, sound")
    for gap in checked.open_questions:
        out.print(f"  before a run: {gap}")


@profile_app.command("new")
def profile_new(
    folder: Annotated[str, typer.Argument(help="the new folder; its name is the profile's", metavar="DIR")],
    like: Annotated[str, typer.Option("--like", help="the profile to start from", metavar="NAME")] = "laptop",
) -> None:
    """Start a profile of your own from another one: its recipes and its profile.yaml, to be edited."""
    from stillhouse.api.profile_checks import start

    started = start(folder, like)
    out.print(f"{folder}: {len(started)} files like {like}; edit them, then: stillhouse profile check {folder}")


def plan(
    profile: Annotated[str, typer.Argument(help="a profile", metavar="PROFILE")],
    store: Annotated[str, typer.Option(help="root of the artifact store, for measured rates and what is already there")] = "",
    version: Annotated[str, typer.Option(help="the artifacts' version")] = "1",
) -> None:
    """Print what a run of a profile will do: rows, samples, tokens, GPU-hours and bytes by task."""
    from stillhouse.api.forecast import plan_profile

    out.print(plan_profile(profile, store, version).as_text())
