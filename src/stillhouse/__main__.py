"""The command line: ``stillhouse STAGE --config … --input NAME=URI --output URI``, and the tools around artifacts."""

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from stillhouse import stages
from stillhouse.errors import REFUSED, TRY_AGAIN, BadConfig, DamagedArtifact, RankLost, StillhouseError, one_line
from stillhouse.execution import processes

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes looks for a container's last words."""
FULL = (errno.ENOSPC, errno.EDQUOT)
INTERRUPTED = 130
"""What typer returns for a keyboard interrupt, as shells do."""

app = typer.Typer(
    help="A reasoning-model factory: every stage of the path as one command.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
)  # fmt: skip
_out = Console(highlight=False, soft_wrap=True)

ConfigOption = Annotated[
    list[str], typer.Option("--config", "-c", help="@recipe, @file.yaml or JSON; repeat to layer, the last wins", metavar="LAYER")
]
SetOption = Annotated[
    list[str], typer.Option("--set", "-s", help="one field: learning_rate=1e-5, nested.field=3", metavar="FIELD=VALUE")
]
InputOption = Annotated[list[str], typer.Option("--input", "-i", help="an input artifact; repeat as needed", metavar="NAME=URI")]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", help="where the artifact goes: {root}/{stage}/{name}/{version}", metavar="URI")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="fail where no earlier try left anything to go on from, instead of starting over")
]
ShardOption = Annotated[str | None, typer.Option("--shard", help="do one share of the keys, counted from 0", metavar="INDEX/COUNT")]


def _stage_command(name: str) -> Any:
    """The command that runs one stage."""

    def run(
        output: OutputOption,
        config: ConfigOption = [],
        settings: SetOption = [],
        inputs: InputOption = [],
        shard: ShardOption = None,
        resume: ResumeOption = False,
    ) -> None:
        from stillhouse.artifacts.shards import Shard
        from stillhouse.execution.execute import execute
        from stillhouse.execution.recipes import resolve
        from stillhouse.reporting.terminal import number

        stage = stages.load(name)
        resolved = resolve(stage.Config, config, settings)
        result = execute(stage, resolved, _named(inputs), output, Shard.parse(shard) if shard else None, resume=resume)
        if processes.rank():
            return  # rank 0 says it for all
        manifest = result.manifest
        verb = "unchanged, skipped" if result.skipped else f"done in {manifest.seconds:.1f} s"
        _out.print(f"{name} {verb}: {manifest.rows:,} rows, {sum(manifest.dropped.values()):,} dropped · {manifest.fingerprint}")
        for metric, value in manifest.metrics.items():
            _out.print(f"  {metric} {number(value)}")

    return run


def _named(inputs: list[str]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for each in inputs:
        name, equals, uri = each.partition("=")
        if not (name and equals and uri):
            msg = f"--input {each}: not of the form NAME=URI"
            raise BadConfig(msg)
        named.setdefault(name, []).append(uri)
    return named


def _stage_help(name: str, asked: str) -> str:
    """What ``--help`` says of a stage: all of it where asked for it, its first line in the list; nothing where no help is shown."""
    if name == asked and "--help" in sys.argv:
        return _config_help(name)
    if asked in {"", "--help"}:
        # Read, not imported: the list of commands must not depend on ten modules.
        source = Path(stages.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        return source.removeprefix('"""').partition("\n")[0].removesuffix('"""')
    return ""


def _config_help(name: str) -> str:
    """The stage's first line and its fields, for ``--help``."""
    from stillhouse.execution.contract import input_names

    stage = stages.load(name)
    lines = [(stage.__doc__ or "").strip().split("\n")[0], "", "[bold]Inputs[/bold]", ""]
    lines += [f"{each} ({kind})\n" for each, kind in input_names(stage.Inputs).items()] or ["none\n"]
    lines += ["[bold]Config[/bold]", ""]
    for field, info in stage.Config.model_fields.items():
        default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)!r}"
        said = escape(f"{info.description or ''} ({default})")
        lines.append(f"[cyan]{field}[/cyan] — {said}\n")
    return "\n".join(lines)


@app.command("import")
def import_rows(
    files: Annotated[
        list[str], typer.Argument(help="JSON lines, .jsonl.zst, .jsonl.gz; of a release also .parquet", metavar="FILE…")
    ],
    form: Annotated[
        str, typer.Option("--as", help="questions or responses: our columns; am-1.4m, am-40m, conversations: a release")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="where it goes; of a release with {stage}", metavar="URI")],
    category: Annotated[
        str | None, typer.Option(help="of all questions of a release, where it does not say or says it wrong")
    ] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="of all questions of a release")] = None,
    max_bad_rate: Annotated[float, typer.Option(help="share of a release's lines that may be broken")] = 0.01,
) -> None:
    """Make artifacts of your own rows or of a public release, so that any stage can be run on them."""
    from stillhouse.exchange import SCHEMAS
    from stillhouse.exchange.importing import import_release
    from stillhouse.exchange.jsonl import import_file

    if form in SCHEMAS:
        settings = {"form": form, "category": category, "license": license_name, "max_bad_rate": max_bad_rate}
        made = import_release(files, output, **settings)
    elif len(files) == 1:
        made = {form: import_file(files[0], form, output)}
    else:
        msg = f"--as {form}: {len(files)} files were given; give one, put together"
        raise BadConfig(msg)
    for name, manifest in made.items():
        _out.print(f"{name}: {manifest.rows:,} rows at {output.replace('{stage}', name)} · {manifest.fingerprint}", markup=False)
        for metric, value in manifest.metrics.items():
            if metric.startswith("n_ignored/"):
                _out.print(f"  no such column, left out: {metric.removeprefix('n_ignored/')} ({value:,.0f} rows)", markup=False)
        for reason, count in manifest.dropped.items():
            _out.print(f"  dropped {reason} {count:,}", markup=False)


@app.command("export")
def export_rows(
    uris: Annotated[list[str], typer.Argument(help="selected, or others; what they were made of comes along", metavar="URI…")],
    form: Annotated[str, typer.Option("--as", help="am-1.4m, am-40m or conversations")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="the file; its dataset card goes beside it", metavar="FILE.jsonl.zst")
    ],
    split: Annotated[list[str], typer.Option(help="of selected, these splits alone; repeat as needed", metavar="SPLIT")] = [],
) -> None:
    """Write a release: one file in a public schema, and its dataset card."""
    from stillhouse.exchange.export import export

    made = export(uris, form, output, split)
    _out.print(f"{form}: {made.rows:,} rows at {output} · sha256 {made.sha256}", markup=False)
    for column, count in made.lost.items():
        _out.print(f"  no column for {column} ({count:,} rows)", markup=False)


@app.command()
def lineage(uri: Annotated[str, typer.Argument(help="an artifact, or models:/NAME@champion", metavar="URI")]) -> None:
    """Print what an artifact or a registered model was made of, back to the source rows."""
    from stillhouse.artifacts.manifest import lineage as walk
    from stillhouse.artifacts.manifest import load
    from stillhouse.registry.promotion import artifact

    uri = artifact(uri)
    load(uri)
    seen: set[str] = set()
    for depth, name, link, manifest in walk(uri):
        label = f"{name} ← " if name else ""
        facts = f"{manifest.rows:,} rows · {manifest.fingerprint}" if manifest else "gone from the store"
        again = " (above)" if link in seen else ""
        _out.print(f"{'  ' * depth}{label}{link} · {facts}{again}", markup=False, style=None if manifest else "red")
        seen.add(link)


@app.command("verify-artifact")
def verify_artifact(
    uri: Annotated[str, typer.Argument(help="an artifact", metavar="URI")],
    deep: Annotated[bool, typer.Option("--deep", help="check all that it was made of, too")] = False,
) -> None:
    """Check every file of an artifact against its manifest: size, sha256, rows."""
    from stillhouse.artifacts.integrity import problems

    damaged = 0
    for artifact, problem in problems(uri, deep=deep):
        damaged += problem is not None
        _out.print(f"{artifact}: {problem or 'sound'}", markup=False, style="red" if problem else None)
    if damaged:
        msg = f"{damaged} artifacts are damaged; restore their files, or make them again under another version"
        raise DamagedArtifact(msg)


@app.command()
def show(
    uri: Annotated[str, typer.Argument(help="an artifact", metavar="URI")],
    rows: Annotated[int, typer.Option(help="how many rows to print, as JSON lines", min=0)] = 3,
    dropped: Annotated[bool, typer.Option("--dropped", help="print dropped rows, with their reasons")] = False,
) -> None:
    """Print an artifact's manifest in short, and its first rows."""
    from stillhouse.reporting.terminal import show as show_artifact

    show_artifact(_out, uri, rows, dropped=dropped)


@app.command()
def summary(uri: Annotated[str, typer.Argument(help="a registry or report artifact", metavar="URI")]) -> None:
    """Print a run from its last artifact: rows and drops by stage, difficulty, pass@1 of every checkpoint."""
    from stillhouse.reporting.summary import print_summary

    print_summary(_out, uri)


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="a registered model", metavar="MODEL")],
    to: Annotated[str | None, typer.Option("--to", help="a version; default: the champion before", metavar="VERSION")] = None,
) -> None:
    """Make the champion before the present one champion again."""
    from stillhouse.registry.promotion import rollback as move_back

    left, now = move_back(model, to)
    _out.print(f"{model}: champion is version {now} again, version {left} is tagged rolled_back", markup=False)


def main() -> None:
    """Run the command line; an error or a wrong flag is one line on standard error and exit code 1, or 75 where it may pass."""
    # Stages report their own progress; the libraries' bars would fill the task logs.
    os.environ.setdefault("TQDM_DISABLE", "1")
    # Ended by Kubernetes or Airflow: the same clean way out as Ctrl-C, so that the tracked run is closed and scratch removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in stages.DATA_PATH:
        app.command(name, help=_stage_help(name, asked))(_stage_command(name))
    try:
        code = typer.main.get_command(app).main(prog_name="stillhouse", standalone_mode=False)
    except RankLost as error:
        _leave(one_line(error))
    except StillhouseError as error:
        _fail(one_line(error), error.exit_code)
    except typer.TyperException as error:
        known = {*stages.DATA_PATH, "export", "import", "lineage", "rollback", "show", "summary", "verify-artifact"}
        help_command = f"stillhouse {asked} --help" if asked in known else "stillhouse --help"
        _fail(f"{' '.join(error.format_message().split())} See {help_command}")
    except OSError as error:
        if error.errno not in FULL:
            raise
        _fail(f"{error}; free some room, or set STILLHOUSE_SCRATCH to a directory that has it; then run the same command again")
    if code == INTERRUPTED:
        stopped = "stopped by the user; a finished part is kept, run the same command again to go on"
        _leave("stopped") if processes.count() > 1 else _fail(stopped, TRY_AGAIN)
    sys.exit(code or 0)


def _fail(message: str, code: int = REFUSED) -> None:
    """Leave with these last words. torchrun makes every exit code 1: there, what may pass by itself leaves none to Kubernetes."""
    final = code == REFUSED or processes.count() == 1
    if final and TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(message[:4000], encoding="utf-8")
    print(f"{'error' if final else 'try again'}: {message}", file=sys.stderr)
    sys.exit(code)


def _leave(message: str) -> None:
    """Leave because another rank did, or all were told to: the last words are another's."""
    print(f"rank {processes.rank()}: {message}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(TRY_AGAIN)  # the libraries' own way out waits for answers of ranks that are gone


if __name__ == "__main__":
    main()
