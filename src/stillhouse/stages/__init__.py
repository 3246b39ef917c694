"""The data path, one module per hop."""

import difflib
from importlib import import_module

from stillhouse.errors import BadConfig
from stillhouse.stage import Stage

DATA_PATH = ("questions", "responses", "verified", "screened", "graded", "selected", "sft", "rl", "report", "registry")


def load(name: str) -> Stage:
    """The stage module of that name. Raises BadConfig with the nearest name on a typo."""
    if name not in DATA_PATH:
        close = difflib.get_close_matches(name, DATA_PATH, n=1)
        hint = f"did you mean {close[0]}?" if close else f"stages: {', '.join(DATA_PATH)}"
        msg = f"no stage {name!r}; {hint}"
        raise BadConfig(msg)
    module: Stage = import_module(f"stillhouse.stages.{name}")
    return module
