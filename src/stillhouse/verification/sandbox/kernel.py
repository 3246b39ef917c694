"""System calls for which Python has no function, made through the C library; every failure is an OSError."""

import ctypes
import os
import platform

X86_64, AARCH64 = "x86_64", "aarch64"
MACHINE = platform.machine()

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CAP_SETUID, CAP_SYS_ADMIN = 7, 21
CAP_DAC_READ_SEARCH = 2

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP = 1, 4, 8, 22
_PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 24, 36, 38
_CAPABILITY_VERSION_3 = 0x20080522
_PIVOT_ROOT = {X86_64: 155, AARCH64: 41}
_MOUNT_SETATTR, _OPEN_TREE, _MOVE_MOUNT = 442, 428, 429
_OPEN_TREE_CLONE, _MOVE_FROM_EMPTY_PATH = 1, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000


class _FilterProgram(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def syscall(number: int, *arguments: object) -> int:
    """A system call by number."""
    return _checked(_LIBC.syscall(ctypes.c_long(number), *map(_argument, arguments)), f"system call {number}")


def unshare(flags: int) -> None:
    """Move to new namespaces of the kinds in these CLONE_NEW… flags."""
    _checked(_LIBC.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or with MS_BIND a directory."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _checked(_LIBC.mount(*arguments), f"mount {target}")


def unmount(target: str) -> None:
    """Detach a mount at once; the kernel frees it with its last user."""
    detach = 2
    _checked(_LIBC.umount2(target.encode(), detach), f"umount {target}")


def protect_mount(target: str, attributes: int, *, recursive: bool) -> None:
    """Set MOUNT_ATTR_… on a mount and, if ``recursive``, on all mounts below it."""
    settings = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    syscall(_MOUNT_SETATTR, _AT_FDCWD, target, flags, settings, ctypes.sizeof(settings))


def detached(path: str) -> int:
    """A descriptor of a copy of the mount at a path, which is mounted nowhere yet."""
    return syscall(_OPEN_TREE, _AT_FDCWD, path, _OPEN_TREE_CLONE | os.O_CLOEXEC)


def attach(mount_fd: int, target: str) -> None:
    """Mount what ``detached`` returned."""
    syscall(_MOVE_MOUNT, mount_fd, "", _AT_FDCWD, target, _MOVE_FROM_EMPTY_PATH)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root directory; the old one is then mounted at ``old``."""
    syscall(_PIVOT_ROOT[MACHINE], new, old)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forbid_inspection() -> None:
    """Allow neither core dumps nor ptrace by processes of the same uid."""
    _prctl(_PR_SET_DUMPABLE, 0)


def allow_inspection() -> None:
    """Let processes of the same uid look at this one, which a change of the uid ends."""
    _prctl(_PR_SET_DUMPABLE, 1)


def forbid_new_privileges() -> None:
    """From here on no execve grants privileges: seccomp and Landlock require this of unprivileged processes."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def filter_system_calls(program: bytes) -> None:
    """Install a seccomp filter of eight-byte BPF instructions. It cannot be removed."""
    mode_filter = 2
    _prctl(_PR_SET_SECCOMP, mode_filter, ctypes.byref(_FilterProgram(len(program) // 8, program)))


def act_as(uid: int, gid: int) -> None:
    """Open files as another user from here on, in this thread; 0 and 0 undo it for root."""
    _LIBC.setfsgid(gid)
    _LIBC.setfsuid(uid)


def keep_capabilities() -> None:
    """Keep the permitted capabilities when the uid changes from root."""
    _prctl(_PR_SET_KEEPCAPS, 1)


def set_capabilities(mask: int) -> None:
    """Keep these capabilities only, and empty the bounding set if this process may."""
    for capability in range(64):
        if _LIBC.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0):
            break
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    _checked(_LIBC.capset(header, data), "capset")


def capabilities() -> int:
    """The effective capabilities of this process, as a mask."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    _checked(_LIBC.capget(header, data), "capget")
    return data[0] | data[3] << 32


def _prctl(option: int, value: int, pointer: object = 0) -> None:
    third = pointer if pointer else ctypes.c_ulong(0)
    _checked(_LIBC.prctl(option, ctypes.c_ulong(value), third, ctypes.c_ulong(0), ctypes.c_ulong(0)), f"prctl {option}")


def _argument(value: object) -> object:
    if isinstance(value, int):
        return ctypes.c_long(value)
    return value.encode() if isinstance(value, str) else value


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result
