"""The system-call filter: classic BPF that allows the calls in ``syscalls.py`` and fails all others with an errno.

A filter sees numbers and argument registers, not memory. Unknown calls fail with EPERM; calls that libraries replace by older ones
on older kernels fail with ENOSYS. A call by another architecture's table (32-bit code on x86-64) kills the process.
"""

import errno
import struct
from dataclasses import dataclass

from stillhouse.verification.sandbox.kernel import AARCH64, MACHINE, X86_64
from stillhouse.verification.sandbox.syscalls import EXAMINED, PLAIN

_LOAD, _AND, _EQUAL, _GREATER, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x35, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_MACHINES = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
_X32_BIT = 0x40000000

_CLONE_THREAD, _CLONE_NAMESPACES = 0x00010000, 0x7E020000
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY = 8, 10, 15, 1024, 1026
_TERMINAL_OR_BLOCKING = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""ioctl: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_NAMES_AND_DUMPABLE = (3, 15, 16)
"""prctl: PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME."""
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_O_TRUNC, _O_ACCMODE = 0x200, 0x3
_ABSENT = ("clone3", "openat2", "fchmodat2")
_WITH_PROCESSES = ("fork", "vfork")
_PRETENDED = ("flock", "fadvise64")
"""Calls that succeed and do nothing: what locks a file of the host tells other sandboxes something. In a tmp of its own a program
misses neither."""
_MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2}
"""Calls that change a file's mode, and which argument it is."""
_TIMES = ("utime", "utimes", "futimesat", "utimensat")
_SPECIAL_MODES = 0o7000
_WITHOUT_ATTRIBUTES = (
    "setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
)  # fmt: skip
"""Calls that fail as on a file system without extended attributes."""
_LOCKING = (6, 7, 13, 14, 37, 38)
"""fcntl: F_SETLK, F_SETLKW, their 64-bit and F_OFD_ forms; they pretend too."""

Instruction = tuple[int, int, int, int]
"""Operation, jump if true, jump if false, operand."""


@dataclass(frozen=True)
class Argument:
    """A condition: the masked lower half of an argument must be among ``values`` or, if ``refused``, must not be."""

    index: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    refused: bool = False
    error: int = errno.EPERM
    """What a refused call fails with; 0 pretends that it succeeded."""


@dataclass(frozen=True)
class Allowed:
    """What a process may do besides computing."""

    processes: bool = False
    """Start children, and change modes and times of files (a compiler)."""
    execute: bool = False
    """Replace itself."""
    private: bool = True
    """The files it sees are its own or read-only, and its tmp bounds what it writes: it may change their modes and times, and send
    descriptors through a socket. Elsewhere it could change files of the user's, and hide files from the measuring of its tmp."""


def program(pid: int, allowed: Allowed) -> bytes:
    """The filter of process ``pid``, which may signal only itself."""
    column = list(_MACHINES).index(MACHINE)
    code: list[Instruction] = [
        (_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, _MACHINES[MACHINE]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER_AT),
    ]  # fmt: skip
    if MACHINE == X86_64:
        code += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    rules = _rules(pid, allowed)
    for name, numbers in EXAMINED.items():
        number = numbers[column]
        if number is not None:
            block = _answer(name, rules)
            code += [(_EQUAL, 0, len(block), number), *block]
    for first, last in _ranges(sorted(number for numbers in PLAIN.values() if (number := numbers[column]) is not None)):
        code += [(_AT_LEAST, 0, 2, first), (_GREATER, 1, 0, last), (_RETURN, 0, 0, _ALLOW)]
    code.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _rules(pid: int, allowed: Allowed) -> dict[str, list[Argument]]:
    """The conditions on the arguments of each examined call; all of them must hold."""
    thread = Argument(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NAMESPACES)
    reading = Argument(1, (_O_TRUNC,), _O_TRUNC | _O_ACCMODE, refused=True)
    rules = {
        "clone": [Argument(0, (0,), _CLONE_NAMESPACES) if allowed.processes else thread],
        "kill": [Argument(0, (0, pid))],
        "tgkill": [Argument(0, (pid,))],
        "prlimit64": [Argument(0, (0, pid))],
        "fcntl": [
            Argument(1, (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY), refused=True),
            Argument(1, _LOCKING, refused=True, error=0),
        ],
        "ioctl": [Argument(1, _TERMINAL_OR_BLOCKING)],
        "prctl": [Argument(0, _NAMES_AND_DUMPABLE)],
        "socketpair": [Argument(0, (_AF_UNIX,)), Argument(1, (_SOCK_STREAM,), _SOCK_TYPE)],
        # Before its third version Landlock lets a program truncate a file that it may only read.
        "open": [reading],
        "openat": [Argument(2, reading.values, reading.mask, refused=True)],
    }
    rules |= {"execve": [], "execveat": []} if allowed.execute else {}
    if allowed.private or allowed.processes:
        rules |= {name: [Argument(place, (0,), _SPECIAL_MODES)] for name, place in _MODES.items()}
        rules |= {name: [] for name in ("sendmsg", *_TIMES)}
    return rules | ({name: [] for name in (*_WITH_PROCESSES, *_PRETENDED)} if allowed.processes else {})


def _answer(name: str, rules: dict[str, list[Argument]]) -> list[Instruction]:
    """The instructions that decide one examined call."""
    if name in _ABSENT or name not in rules:
        return [(_RETURN, 0, 0, _ERRNO | _error_of(name))]
    code: list[Instruction] = []
    for argument in rules[name]:
        code += [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument.index), (_AND, 0, 0, argument.mask)]
        count = len(argument.values)
        for index, value in enumerate(argument.values):
            if argument.refused:
                code += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ERRNO | argument.error)]
            else:
                code.append((_EQUAL, count - index, 0, value))
        if not argument.refused:
            code.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _error_of(name: str) -> int:
    """What a refused call fails with; 0 pretends that it succeeded."""
    if name in _ABSENT:
        return errno.ENOSYS
    if name in _WITHOUT_ATTRIBUTES:
        return errno.EOPNOTSUPP
    return 0 if name in _PRETENDED else errno.EPERM


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Ranges of consecutive numbers, as pairs of first and last."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ranges
