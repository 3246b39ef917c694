"""Landlock restricts the files that a process and its children can open (Linux 5.13; linux/landlock.h defines the bits)."""

import os
import stat
import struct
from collections.abc import Iterable

from stillhouse.verification.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_RIGHTS_OF_FIRST, _REFER, _TRUNCATE, _IOCTL_DEVICE = (1 << 13) - 1, 1 << 13, 1 << 14, 1 << 15
_MAKE_DEVICES = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11
"""Character and block devices, sockets, FIFOs: forbidden even in the private tmp."""
_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

READ, EXECUTE, WRITE = _READ_FILE | _READ_DIR, _READ_FILE | _READ_DIR | _EXECUTE, _READ_FILE | _WRITE_FILE | _TRUNCATE


def version() -> int:
    """The kernel's Landlock version; 0 if it has none or was booted without."""
    try:
        return kernel.syscall(_CREATE_RULESET, 0, 0, _VERSION)
    except OSError:
        return 0


def ruleset(rules: Iterable[tuple[str, int]], private: str) -> int:
    """A descriptor of the rules: rights by path (missing paths are skipped), and nearly all rights beneath ``private``."""
    handled = _handled(version())
    descriptor = kernel.syscall(_CREATE_RULESET, _attributes(version(), handled), len(_attributes(version(), handled)), 0)
    os.set_inheritable(descriptor, False)
    for path, rights in (*rules, (private, handled & ~_MAKE_DEVICES & ~_EXECUTE & ~_IOCTL_DEVICE)):
        try:
            beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            continue
        of_file = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
        possible = handled if stat.S_ISDIR(os.fstat(beneath).st_mode) else handled & of_file
        kernel.syscall(_ADD_RULE, descriptor, _PATH_BENEATH, struct.pack("=Qi", rights & possible, beneath), 0)
        os.close(beneath)
    return descriptor


def restrict(descriptor: int) -> None:
    """Apply the rules to this process. They cannot be lifted."""
    kernel.syscall(_RESTRICT_SELF, descriptor, 0)


def _handled(abi: int) -> int:
    """Every right that this kernel can refuse: refused unless a rule allows it."""
    return _RIGHTS_OF_FIRST | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0) | (_IOCTL_DEVICE if abi >= 5 else 0)


def _attributes(abi: int, handled: int) -> bytes:
    words = [handled, *([_TCP] if abi >= 4 else []), *([_ABSTRACT_SOCKETS_AND_SIGNALS] if abi >= 6 else [])]
    return struct.pack(f"={len(words)}Q", *words)
