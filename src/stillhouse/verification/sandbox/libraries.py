"""The packages that programs and tests may import besides the standard library: directories made once, by ``make libraries``."""

import sys
from pathlib import Path

from stillhouse.errors import EngineFailed
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.packages import Libraries

NAMES: dict[Libraries, tuple[str, ...]] = {
    "standard": ("pytest",),
    "scientific": ("pytest", "numpy", "scipy", "sympy", "pandas", "networkx", "sortedcontainers"),
}
"""By kind: what its directory holds. The standard one is for tests; programs have the standard library only."""


def directory(libraries: Libraries) -> str:
    """The directory of a kind; empty if there is none of the kind ``standard``. Raises EngineFailed for the other."""
    path = _root() / libraries
    if path.is_dir():
        return str(path.resolve())
    if libraries == "standard":
        return ""
    msg = f"libraries: {libraries}: no directory {path}; run `make libraries`, or take an image that has it"
    raise EngineFailed(msg)


def headers() -> str:
    """The directory of precompiled C++ headers, by standard; empty if there is none."""
    path = _root() / "headers"
    return str(path.resolve()) if path.is_dir() else ""


def _root() -> Path:
    return Path(environment.text("STILLHOUSE_SANDBOX_LIBRARIES", str(Path(sys.prefix, "share", "stillhouse", "libraries"))))
