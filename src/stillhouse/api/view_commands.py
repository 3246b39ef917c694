"""The commands that serve rows to a browser: ``view`` and ``review``."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.errors import BadConfig
from stillhouse.execution.console import PlainConsole

if TYPE_CHECKING:
    from stillhouse.browsing.browser import Browser

Uris = Annotated[list[str], typer.Argument(help="an artifact, then further ones to join to it, such as graded", metavar="URI…")]
PortOption = Annotated[int, typer.Option(help="on loopback; 0: a free one", min=0, max=65535)]
_out = PlainConsole(highlight=False, soft_wrap=True, markup=False)


def view(uris: Uris, port: PortOption = 0) -> None:
    """Browse the rows of an artifact, joined to questions, responses and verdicts: filter, compare answers, copy test cases."""
    from stillhouse.browsing.browser import Browser

    _serve(Browser([_artifact(uri) for uri in uris]), port)


def review(
    uris: Uris,
    output: Annotated[str, typer.Option("--output", "-o", help="where the marks go: ROOT/marks/NAME/VERSION", metavar="URI")],
    marked_by: Annotated[str, typer.Option("--by", help="whose judgement it is; default: your login", metavar="NAME")] = "",
    port: PortOption = 0,
) -> None:
    """Mark verdicts right or wrong in the browser, by keys; Ctrl-C publishes the marks, which `verified` takes as an input."""
    from stillhouse.browsing.browser import Browser
    from stillhouse.browsing.marks import Marking
    from stillhouse.verification.agreement import told

    named = [_artifact(uri) for uri in uris]
    marking = Marking(output, named[0], marked_by or _login())
    _serve(Browser(named, marking), port)
    manifest = marking.publish()
    _out.print(f"marks: {manifest.rows:,} verdicts marked at {marking.output} · {manifest.fingerprint}")
    for line in told(list(marking.marks.values())):
        _out.print(line)


def _serve(browser: "Browser", port: int) -> None:
    from stillhouse.browsing.browser import HOST, listening, serve

    listener = listening(port)
    _out.print(f"http://{HOST}:{listener.getsockname()[1]}/{browser.token}/")
    _out.print("keep this address to yourself: whoever has it can read these rows; Ctrl-C ends it")
    serve(browser, listener)


def _login() -> str:
    """The name of the user. Raises BadConfig where the system knows none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        msg = "the system knows no name for this user; say whose marks they are: --by NAME"
        raise BadConfig(msg) from error


def _artifact(uri: str) -> str:
    """The artifact that a URI, or ``models:/NAME@ALIAS``, names."""
    from stillhouse.registry.promotion import artifact

    return artifact(uri)
