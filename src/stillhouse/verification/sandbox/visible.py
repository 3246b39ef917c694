"""The files of the machine that a program can read: what Python and a C++ compiler need, nothing of anybody's."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

COMPILERS = ("g++", "clang++")
DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")
WRITABLE_DEVICE = "/dev/null"
_SYSTEM = (
    "/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/include", "/usr/share/zoneinfo", "/bin", "/lib",
    "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
)  # fmt: skip
_INSTALLED = ("site-packages", "dist-packages")
"""What others installed beside the standard library: not for programs."""


def system() -> list[str]:
    """Programs, shared libraries and headers of the system, and of the compiler where it lives elsewhere."""
    return [path for path in (*_SYSTEM, *_compiler_roots()) if os.path.lexists(path)]


def standard_library() -> str:
    """The directory of this Python's standard library."""
    return sysconfig.get_path("stdlib")


def hidden() -> list[str]:
    """Directories beneath the standard library that a program is not to see."""
    return [str(path) for name in _INSTALLED if (path := Path(standard_library(), name)).is_dir()]


def library_parts() -> list[str]:
    """The standard library entry by entry, without what is hidden; and the shared libraries beside it."""
    here = Path(standard_library())
    shared = Path(sys.base_prefix, "lib").glob("*.so*")
    return [str(path) for path in (*here.iterdir(), *shared) if path.name not in _INSTALLED]


def readable_by_all() -> bool:
    """Whether a process of any uid can read the standard library: not so where Python lives in a private home."""
    here = Path(standard_library())
    return all(path.stat().st_mode & 0o005 == 0o005 for path in (here, *here.parents))


def compiler() -> str | None:
    """The first C++ compiler on PATH, without symbolic links."""
    found = (shutil.which(name) for name in COMPILERS)
    return next((os.path.realpath(path) for path in found if path), None)


def _compiler_roots() -> list[str]:
    path = compiler()
    return [] if path is None or path.startswith("/usr/bin/") else [str(Path(path).parents[1])]
