"""stillhouse: a reasoning-model factory, from raw questions to a registered model.

``import stillhouse as sh`` loads nothing else; a function's libraries are imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse.api.comparing import compare, pass_at_1
    from stillhouse.api.local import grade, verify
    from stillhouse.api.reading import lineage, read
    from stillhouse.api.running import load_recipe, run
    from stillhouse.benchmarks.intervals import Interval
    from stillhouse.errors import StillhouseError
    from stillhouse.execution.task import Result

    __version__: str

__all__ = [
    "Interval", "Result", "StillhouseError", "__version__", "compare", "grade", "lineage", "load_recipe", "pass_at_1", "read",
    "run", "verify",
]  # fmt: skip

_HOMES = {
    "Interval": "stillhouse.benchmarks.intervals",
    "Result": "stillhouse.execution.task",
    "StillhouseError": "stillhouse.errors",
    "compare": "stillhouse.api.comparing",
    "grade": "stillhouse.api.local",
    "lineage": "stillhouse.api.reading",
    "load_recipe": "stillhouse.api.running",
    "pass_at_1": "stillhouse.api.comparing",
    "read": "stillhouse.api.reading",
    "run": "stillhouse.api.running",
    "verify": "stillhouse.api.local",
}
"""Public name -> the module that defines it."""

if not TYPE_CHECKING:  # type checkers would take any misspelt name for one that it answers

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value: object = import_module("importlib.metadata").version("stillhouse")
        elif name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        else:
            msg = f"module 'stillhouse' has no attribute {name!r}; public names: {', '.join(__all__)}"
            raise AttributeError(msg)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
