"""The command line: ``stillhouse STAGE --config … --input NAME=URI --output URI``, and the tools around artifacts."""

import os
import signal
import sys
from importlib.metadata import version as installed_version
from typing import Annotated, Any, TextIO, cast

import typer
from typer.core import TyperGroup

from stillhouse import stages
from stillhouse.api import data_commands
from stillhouse.api.fit_command import fit
from stillhouse.api.inspect_command import inspect_model
from stillhouse.api.leaderboard_command import leaderboard
from stillhouse.api.profile_commands import plan, profile_app
from stillhouse.api.view_commands import review, view
from stillhouse.api.watch_command import watch
from stillhouse.errors import TRY_AGAIN, Preempted, RankLost, StillhouseError
from stillhouse.execution import exits, processes
from stillhouse.execution.console import MaskedStream, PlainConsole
from stillhouse.vocabulary.masking import one_line

INTERRUPTED, TERMINATED = 130, 143
"""The exit codes that shells, and typer, use for SIGINT and SIGTERM."""
GO_ON = "finished parts are kept: run the same command again to go on"
FORM_NAMES = "am-1.4m, am-40m, conversations; for trainers messages, alpaca, sharegpt, prompts, verl"
COMMANDS = {
    *stages.DATA_PATH, "export", "fetch", "fit", "import", "inspect", "leaderboard", "lineage", "plan", "presets", "profile",
    "prune", "publish", "review", "rollback", "show", "sniff", "summary", "sync", "verify-artifact", "view", "watch",
}  # fmt: skip


class _Commands(TyperGroup):
    """Tells SIGTERM from Ctrl-C, which typer does not."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Preempted as error:
            raise typer.Exit(TERMINATED) from error


app = typer.Typer(
    help="A reasoning-model factory: every stage of the path as one command.", cls=_Commands,
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
)  # fmt: skip
app.add_typer(profile_app, name="profile")
app.command()(plan)
app.command()(fit)
app.command()(watch)
app.command()(leaderboard)
_out = PlainConsole(highlight=False, soft_wrap=True, markup=False)

ConfigOption = Annotated[
    list[str], typer.Option("--config", "-c", help="@recipe, @file.yaml or JSON; repeat to layer, the last wins", metavar="LAYER")
]
SetOption = Annotated[
    list[str], typer.Option("--set", "-s", help="one field: learning_rate=1e-5, nested.field=3", metavar="FIELD=VALUE")
]
InputOption = Annotated[list[str], typer.Option("--input", "-i", help="an input artifact; repeat as needed", metavar="NAME=URI")]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", help="URI of the new artifact: {root}/{stage}/{name}/{version}", metavar="URI")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="fail if no earlier try left anything to resume from, instead of starting over")
]
ShardOption = Annotated[
    str | None, typer.Option("--shard", help="work on one share of the keys; INDEX counts from 0", metavar="INDEX/COUNT")
]
StepOption = Annotated[
    str | None, typer.Option("--step", help="of a shard: read, map, combine or apply; default: all", metavar="STEP")
]
VersionOption = Annotated[bool, typer.Option("--version", help="print the version and exit", is_eager=True)]


@app.callback(invoke_without_command=True)
def _program(version: VersionOption = False) -> None:
    if version:
        _out.print(f"stillhouse {installed_version('stillhouse')}")
        raise typer.Exit


def _stage_command(name: str) -> Any:
    """The command that runs one stage."""

    def run(
        output: OutputOption,
        config: ConfigOption = [],
        settings: SetOption = [],
        inputs: InputOption = [],
        shard: ShardOption = None,
        step: StepOption = None,
        resume: ResumeOption = False,
    ) -> None:
        from stillhouse.execution.contract import parse_inputs, parse_shard, parse_step
        from stillhouse.execution.execute import execute
        from stillhouse.execution.recipes import resolve
        from stillhouse.models import resolving
        from stillhouse.reporting.terminal import print_result

        if shard:
            stages.refuse_shard(name)
        stage, share = stages.load(name), parse_shard(shard) if shard else None
        resolved = resolve(stage.Config, config, settings)
        ranks = stages.REGISTRY[name].ranks
        result = execute(stage, resolved, parse_inputs(inputs), output, share, resume, ranks, parse_step(step), resolving)
        if processes.rank():
            return  # rank 0 reports for all
        print_result(_out, name, result.manifest, skipped=result.skipped)

    return run


def _stage_help(name: str, command: str) -> str:
    """Help on a stage: everything for ``STAGE --help``, its first line for the list of commands, nothing if no help is shown."""
    if name == command and "--help" in sys.argv:
        from stillhouse.execution.stage_help import stage_help

        return stage_help(stages.load(name))
    if command in {"", "--help"}:
        return stages.REGISTRY[name].help
    return ""


@app.command("export")
def export_rows(
    uris: Annotated[list[str], typer.Argument(help="artifacts, usually selected; their inputs are read too", metavar="URI…")],
    form: Annotated[list[str], typer.Option("--as", metavar="FORM", help=f"{FORM_NAMES}; a folder takes several")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FOLDER|FILE", help="a folder of Parquet, or FILE.jsonl.zst")],
    split: Annotated[list[str], typer.Option(help="only this split of selected; repeat as needed", metavar="SPLIT")] = [],
    merge: Annotated[bool, typer.Option("--merge", help="all splits in one, each example once")] = False,
) -> None:
    """Write a release in public schemas or for trainers, with its dataset card: one config per form, one split per split."""
    from stillhouse.exchange.export import export

    for line in export(uris, form, output, split, merge=merge).summary(output):
        _out.print(line)


@app.command()
def lineage(uri: Annotated[str, typer.Argument(help="an artifact, or models:/NAME@champion", metavar="URI")]) -> None:
    """Print everything an artifact or a registered model was made from, back to the source rows."""
    from stillhouse.registry.promotion import artifact
    from stillhouse.reporting.terminal import print_lineage

    print_lineage(_out, artifact(uri))


@app.command()
def fetch(
    models: Annotated[list[str], typer.Argument(help="hf://ORG/NAME, a directory, models:/NAME@ALIAS …", metavar="MODEL…")],
    output: Annotated[str | None, typer.Option("--for", help="an output of the run that uses them", metavar="URI")] = None,
    paths: Annotated[bool, typer.Option("--paths", help="print nothing but the directories, for scripts")] = False,
) -> None:
    """Bring models into the cache that stages share (HF_HOME). With --for, branches and aliases are pinned for that whole run."""
    from stillhouse.models.resolving import fetched

    for model in models:
        link, directory = fetched(model, output)
        _out.print(str(directory) if paths else f"{model}: {link.uri} · {link.fingerprint} · at {directory}")


@app.command()
def publish(
    uri: Annotated[str, typer.Argument(help="a checkpoint, or an artifact with rows", metavar="ARTIFACT")],
    target: Annotated[str, typer.Argument(help="hf://ORG/NAME or hf://ORG/NAME@BRANCH", metavar="REPOSITORY")],
    form: Annotated[str, typer.Option("--as", help="schema of the rows: am-1.4m, am-40m or conversations")] = "conversations",
    report: Annotated[str | None, typer.Option(help="the report whose scores the model's card shows", metavar="URI")] = None,
    private: Annotated[bool, typer.Option("--private", help="make a new repository private")] = False,
) -> None:
    """Push a model or a data set, with its card, to the Hugging Face hub (HF_TOKEN)."""
    from stillhouse.registry.publication import publish as push

    done = push(uri, target, form=form, report=report, private=private)
    _out.print(f"{done.kind}: {done.files} files at {done.url} · commit {done.commit}")


@app.command("verify-artifact")
def verify_artifact(
    uri: Annotated[str, typer.Argument(help="an artifact", metavar="URI")],
    deep: Annotated[bool, typer.Option("--deep", help="check its whole lineage too")] = False,
) -> None:
    """Check every file of an artifact against its manifest: size, sha256, rows."""
    from stillhouse.reporting.terminal import print_checked

    print_checked(_out, uri, deep=deep)


@app.command()
def show(
    uri: Annotated[str, typer.Argument(help="an artifact", metavar="URI")],
    rows: Annotated[int, typer.Option(help="how many rows to print, as JSON lines", min=0)] = 3,
    dropped: Annotated[bool, typer.Option("--dropped", help="print dropped rows, with their reasons")] = False,
) -> None:
    """Print a summary of an artifact's manifest, and its first rows."""
    from stillhouse.reporting.terminal import show as show_artifact

    show_artifact(_out, uri, rows, dropped=dropped)


@app.command()
def summary(uri: Annotated[str, typer.Argument(help="a registry or report artifact", metavar="URI")]) -> None:
    """Print a run, given its last artifact: rows and drops by stage, difficulty, pass@1 of every checkpoint."""
    from stillhouse.reporting.summary import print_summary

    print_summary(_out, uri)


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="a registered model", metavar="MODEL")],
    to: Annotated[str | None, typer.Option("--to", help="a version; default: the previous champion", metavar="VERSION")] = None,
) -> None:
    """Make the previous champion the champion again."""
    from stillhouse.registry.promotion import rollback as move_back

    left, now = move_back(model, to)
    _out.print(f"{model}: champion is version {now} again, version {left} is tagged rolled_back")


@app.command()
def prune(
    root: Annotated[str, typer.Argument(help="the root of a store", metavar="ROOT")],
    last: Annotated[int, typer.Option("--keep", help="versions to keep, the newest over all stages", min=0)] = 10,
    days: Annotated[
        float | None, typer.Option("--runs-older-than", help="MLflow's runs too, after DAYS", min=0, metavar="DAYS")
    ] = None,
    pinned: Annotated[list[str], typer.Option("--pin", help="pin an artifact first; repeat as needed", metavar="URI")] = [],
    unpinned: Annotated[list[str], typer.Option("--unpin", help="take a pin away first; repeat as needed", metavar="URI")] = [],
    delete: Annotated[bool, typer.Option("--delete/--dry-run", help="remove them, or only say what would go")] = False,
) -> None:
    """Remove versions that nothing reaches: no registered model, no pin, not one of the last runs."""
    from stillhouse.registry.retention import prune as prune_store
    from stillhouse.reporting.terminal import print_pruned

    print_pruned(_out, prune_store(root, last, days, pinned, unpinned, delete=delete))


@app.command()
def sync() -> None:
    """Send MLflow what earlier stages on this machine could not send because it did not answer."""
    from stillhouse.errors import TrackingFailed
    from stillhouse.execution import tracking

    complete, waiting = tracking.sync()
    _out.print(f"sync: {complete} runs complete, {waiting} still waiting")
    if waiting:
        msg = f"{waiting} runs wait for MLflow, which does not answer; run `stillhouse sync` again"
        raise TrackingFailed(msg)


app.command("import")(data_commands.import_rows)
app.command("sniff")(data_commands.sniff)
app.command("presets")(data_commands.presets)
app.command()(view)
app.command()(review)


def main() -> None:
    """Run the command line. An error is one line on standard error and exit code 1, or 75 if another try may succeed."""
    # Stages report their own progress; the libraries' bars would fill the task logs.
    os.environ.setdefault("TQDM_DISABLE", "1")
    # Libraries report their use to their makers, unless this says no (MLflow, vLLM, huggingface_hub).
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # No secret leaves this process, not even in a library's log or a traceback.
    sys.stdout = cast("TextIO", MaskedStream(sys.stdout, plain=False))
    sys.stderr = cast("TextIO", MaskedStream(sys.stderr, plain=True))
    signal.signal(signal.SIGTERM, exits.preempt)
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in stages.DATA_PATH:
        app.command(name, help=_stage_help(name, command))(_stage_command(name))
    app.command("inspect")(inspect_model)
    try:
        code = typer.main.get_command(app).main(prog_name="stillhouse", standalone_mode=False)
    except RankLost as error:
        exits.leave(one_line(error))
    except StillhouseError as error:
        exits.fail(one_line(error), error.exit_code)
    except typer.TyperException as error:
        help_command = f"stillhouse {command} --help" if command in COMMANDS else "stillhouse --help"
        wrong = " ".join(error.format_message().split())
        exits.fail(f"{wrong}{'' if wrong.endswith(('.', '?')) else '.'} See {help_command}")
    except Exception as error:
        if not exits.is_full(error):
            raise
        room = "free some room, or set STILLHOUSE_SCRATCH to a directory with room; then run the same command again"
        exits.fail(f"{one_line(error)}; {room}")
    if code in {INTERRUPTED, TERMINATED}:
        word = "preempted (SIGTERM)" if code == TERMINATED else "stopped by the user"
        exits.leave(word) if processes.count() > 1 else exits.fail(f"{word}; {GO_ON}", TRY_AGAIN)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
