"""The data path, one module per hop."""

from importlib import import_module

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution.contract import Stage

DATA_PATH = (
    "questions", "responses", "verified", "screened", "graded", "selected", "sft", "rl", "report", "comparison", "registry"
)  # fmt: skip


def load(name: str) -> Stage:
    """The stage module of that name. Raises BadConfig with the nearest name on a typo."""
    if name not in DATA_PATH:
        msg = f"no stage {name!r}; {nearest(name, DATA_PATH, 'stages')}"
        raise BadConfig(msg)
    module: Stage = import_module(f"stillhouse.stages.{name}")
    return module
