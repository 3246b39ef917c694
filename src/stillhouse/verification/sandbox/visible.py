"""The files of the machine that a program can read: what Python and a C++ compiler need, and no user's files."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

COMPILERS = ("g++", "clang++")
DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")
WRITABLE_DEVICE = "/dev/null"
_SYSTEM = (
    "/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/include", "/usr/share/zoneinfo", "/bin", "/lib",
    "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
)  # fmt: skip
_INSTALLED = ("site-packages", "dist-packages")
"""Installed packages beside the standard library, which programs must not see."""


def system() -> list[str]:
    """Programs, shared libraries and headers of the system, and those of a compiler that is installed elsewhere."""
    return [path for path in (*_SYSTEM, *_compiler_roots()) if os.path.lexists(path)]


def standard_library() -> str:
    """The directory of this Python's standard library."""
    return sysconfig.get_path("stdlib")


def hidden() -> list[str]:
    """Directories beneath the standard library that a program must not see."""
    return [str(path) for name in _INSTALLED if (path := Path(standard_library(), name)).is_dir()]


def library_parts() -> list[str]:
    """The entries of the standard library without the hidden ones, and the shared libraries beside it."""
    library = Path(standard_library())
    shared = Path(sys.base_prefix, "lib").glob("*.so*")
    return [str(path) for path in (*library.iterdir(), *shared) if path.name not in _INSTALLED]


def readable_by_all(libraries: Iterable[str] = ()) -> bool:
    """Whether a process of any uid can read the standard library and these: not if one lies in a private home directory."""
    directories = [Path(path) for path in (standard_library(), *libraries)]
    return all(path.stat().st_mode & 0o005 == 0o005 for top in directories for path in (top, *top.parents))


def compiler() -> str | None:
    """The path of the first C++ compiler on PATH, with symbolic links resolved; None if there is none."""
    candidates = (shutil.which(name) for name in COMPILERS)
    return next((os.path.realpath(path) for path in candidates if path), None)


def _compiler_roots() -> list[str]:
    path = compiler()
    return [] if path is None or path.startswith("/usr/bin/") else [str(Path(path).parents[1])]
