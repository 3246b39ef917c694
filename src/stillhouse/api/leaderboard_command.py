"""``stillhouse leaderboard``: pages that compare all runs of a profile; at the end of a DAG run it records that run first."""

from typing import Annotated

import typer

from stillhouse.execution.console import PlainConsole

out = PlainConsole(highlight=False, soft_wrap=True, markup=False)


def leaderboard(
    root: Annotated[str, typer.Argument(help="the root of a store, on disk or s3://", metavar="ROOT")],
    profile: Annotated[str | None, typer.Option(help="only this profile; default: a page for each", metavar="NAME")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="directory for the pages; default: ROOT/leaderboard", metavar="DIR")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="record this run first, as DAGs do: JSON with profile, run, tasks", metavar="JSON")
    ] = None,
) -> None:
    """Write one page per profile over all its runs: scores with intervals by protocol, champions, cost, links."""
    from stillhouse.reporting.leaderboard import write_all
    from stillhouse.reporting.recording import record_run
    from stillhouse.reporting.run_record import DagRun
    from stillhouse.reporting.store_runs import runs

    written = write_all(root, runs(root, profile), output or "") if run is None else [record_run(root, DagRun.parse(run))]
    for page in written:
        out.print(f"{page.profile}: {page.n_runs} run{'' if page.n_runs == 1 else 's'} · {page.uri}")
        for problem in page.problems:
            out.print(f"  could not be read: {problem}")
