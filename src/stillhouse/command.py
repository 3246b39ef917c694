"""The command line of a stage: the one form in which pods, child processes and people start it."""

from collections.abc import Mapping, Sequence


def command(
    stage: str, *, config: Sequence[str], inputs: Mapping[str, str | Sequence[str]], output: str, program: str = "stillhouse"
) -> list[str]:
    """``stillhouse STAGE --config … --input NAME=URI … --output URI`` as arguments.

    ``config`` holds the layers, left to right: ``@recipe`` or JSON. An input with several URIs is given several times; one with
    an empty URI is left out.
    """
    named = [(name, [given] if isinstance(given, str) else list(given)) for name, given in inputs.items()]
    flags = [flag for name, uris in named for uri in uris if uri for flag in ("--input", f"{name}={uri}")]
    layers = [flag for layer in config for flag in ("--config", layer)]
    return [program, stage, *layers, *flags, "--output", output]
