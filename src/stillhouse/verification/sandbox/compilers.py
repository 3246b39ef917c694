"""How C++ and C are compiled, and the programs that were compiled lately."""

import hashlib
import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from stillhouse.errors import EngineFailed
from stillhouse.verification.sandbox import libraries, visible
from stillhouse.verification.sandbox.limits import MIB

STANDARDS = ("gnu++20", "gnu++17")
"""Tried in turn for a block whose tag names no standard."""
_STANDARD = re.compile(r"\+\+-?(\d[0-9a-z])$|^cpp-?(\d[0-9a-z])$")
_FLAGS = ("-O2", "-pipe", "-w")
_MOST_BINARIES, _MOST_BYTES = 32, 64 * MIB
_THREAD_STACKS = b"""
#ifdef __GLIBC__
__attribute__((constructor)) static void stillhouse_thread_stacks_() {
    pthread_attr_t attributes_;
    pthread_getattr_default_np(&attributes_);
    pthread_attr_setstacksize(&attributes_, 8388608);
    pthread_setattr_default_np(&attributes_);
}
#endif
"""
"""Gives threads the usual stack: they would get as much as the main one, which is large for deep recursion."""
_THREADS = re.compile(rb"#\s*include\s*[<\"](?:thread|future|pthread\.h|bits/stdc\+\+\.h)[>\"]")


@dataclass(frozen=True)
class Binary:
    """A compiled program in memory, behind a descriptor that must be closed."""

    descriptor: int

    def close(self) -> None:
        """Free it."""
        os.close(self.descriptor)


def standards(tag: str) -> list[tuple[str, ...]]:
    """The compiler's arguments for a language and its standard, by a block's tag; several are tried in turn."""
    if tag == "c":
        return [("-D_GNU_SOURCE", "-std=gnu17", "-x", "c")]
    named = _STANDARD.search(tag)
    wanted = [f"gnu++{named[1] or named[2]}"] if named else STANDARDS
    return [("-std=" + standard, "-x", "c++") for standard in wanted]


def command(arguments: tuple[str, ...]) -> list[str]:
    """The command that compiles standard input, with a precompiled header where there is one. Raises EngineFailed."""
    compiler = visible.compiler()
    if compiler is None:
        msg = f"no C++ compiler on PATH ({', '.join(visible.COMPILERS)}): install one in the worker's image"
        raise EngineFailed(msg)
    standard = next(argument.removeprefix("-std=") for argument in arguments if argument.startswith("-std="))
    if "clang" in compiler:
        return [compiler, *_FLAGS, "-ferror-limit=3", *arguments, "-"]
    headers = Path(libraries.headers(), standard)
    precompiled = ["-I", str(headers)] if libraries.headers() and headers.is_dir() else []
    return [compiler, *_FLAGS, "-fmax-errors=3", *precompiled, *arguments, "-"]


def prepared(source: bytes) -> bytes:
    """The source as it is compiled."""
    return source + _THREAD_STACKS if _THREADS.search(source) else source


class CompiledPrograms:
    """The latest compiled programs, by source and command. Not for use by two threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, int] = OrderedDict()

    def get(self, source: bytes, command_: list[str]) -> Binary | None:
        """A copy of the program; None if it was not compiled lately."""
        key = _key(source, command_)
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return Binary(os.dup(self._kept[key]))

    def keep(self, source: bytes, command_: list[str], binary: Binary) -> None:
        """Remember a program, and forget the one that was used least lately if there are too many."""
        self._kept[_key(source, command_)] = os.dup(binary.descriptor)
        while len(self._kept) > _MOST_BINARIES or sum(os.fstat(kept).st_size for kept in self._kept.values()) > _MOST_BYTES:
            os.close(self._kept.popitem(last=False)[1])

    def close(self) -> None:
        """Forget all."""
        while self._kept:
            os.close(self._kept.popitem()[1])


def _key(source: bytes, command_: list[str]) -> bytes:
    return hashlib.sha256("\0".join(command_).encode() + b"\0" + source).digest()
