"""Namespaces: a root directory with only the ``visible`` files of the host, no network, and processes and IPC of its own.

A server enters them once. Root with CAP_SYS_ADMIN needs no user namespace; any other user creates one, if the kernel allows it.
"""

import os
from contextlib import suppress
from pathlib import Path

from stillhouse.verification.sandbox import kernel, visible
from stillhouse.verification.sandbox.limits import Limits

TMP = "/run/tmp"
"""The private tmp in the new root: a file system in memory, mounted anew for each run."""
INSIDE_ID = 1000
"""uid and gid in a user namespace."""
STREAMS = "/dev/fd"
"""Where a program finds its own open files by number; /dev/stdin and its kin, and /proc/self/fd, are links to it."""

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_READ_ONLY, _NO_SETUID = 1, 2
_NEW_ROOT = "/proc"
"""Where the new root is assembled: a directory that always exists and that the new root does not show."""
_PROCESSES = "/run/processes"
"""Where the new pid namespace's procfs is mounted, beneath an empty file system that hides it from programs."""


def leave() -> None:
    """Leave the host's namespaces; only children enter the new pid namespace. Raises OSError if that is not allowed."""
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWNET | kernel.CLONE_NEWPID
    uid, gid = os.getuid(), os.getgid()
    if kernel.capabilities() >> kernel.CAP_SYS_ADMIN & 1:
        kernel.unshare(flags)
        return
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{INSIDE_ID} {uid} 1"), ("gid_map", f"{INSIDE_ID} {gid} 1")):
        Path("/proc/self", name).write_text(text)


def change_root(libraries: list[str]) -> int | None:
    """Assemble the new root and move into it. The host's tree does not change: this process left its mount namespace.

    ``libraries``: directories to show besides what every machine has.
    Returns a descriptor of the new pid namespace's procfs; None if the kernel allows no procfs here, as in some containers.
    """
    kernel.mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    processes = _processes()
    kernel.mount("tmpfs", _NEW_ROOT, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for path in (*visible.system(), visible.standard_library(), *visible.DEVICES, *libraries):
        _show(path)
    for path in visible.hidden():
        kernel.mount("tmpfs", _NEW_ROOT + path, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=0,nr_inodes=1")
    Path(_NEW_ROOT + TMP).mkdir(parents=True)
    if not Path(_NEW_ROOT + "/tmp").exists():  # libraries may lie there
        Path(_NEW_ROOT + "/tmp").symlink_to(TMP)
    Path(_NEW_ROOT + STREAMS).mkdir()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        Path(_NEW_ROOT + "/dev", name).symlink_to(f"{STREAMS}/{number}")
    Path(_NEW_ROOT + "/proc/self").mkdir(parents=True)
    Path(_NEW_ROOT + "/proc/self/fd").symlink_to(STREAMS)
    listed = None if processes is None else _hidden_processes(processes)
    os.chdir(_NEW_ROOT)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    kernel.protect_mount("/", _READ_ONLY, recursive=False)
    return listed


def _processes() -> int | None:
    """A detached procfs of this pid namespace. It is mounted while the host's is visible, as the kernel demands."""
    try:
        kernel.mount("proc", _NEW_ROOT, "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        return kernel.detached(_NEW_ROOT)
    except OSError:
        return None


def _hidden_processes(detached: int) -> int:
    """Mount the procfs in the new root beneath an empty file system. Returns a descriptor of its directory."""
    target = _NEW_ROOT + _PROCESSES
    Path(target).mkdir()
    kernel.attach(detached, target)
    os.close(detached)
    directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    kernel.mount("tmpfs", target, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0,size=0,nr_inodes=1")
    return directory


def show_streams(processes: int) -> None:
    """Show this process its own open files beneath STREAMS. ``processes``: the descriptor of the procfs."""
    os.fchdir(processes)
    kernel.mount(f"{os.getpid()}/fd", STREAMS, flags=_MS_BIND)


def hide_streams() -> None:
    """Undo ``show_streams``, if a process came so far."""
    with suppress(OSError):
        kernel.unmount(STREAMS)


def mount_tmp(limits: Limits, uid: int, gid: int) -> None:
    """Mount an empty private tmp that the run owns."""
    options = f"size={limits.tmp_bytes},nr_inodes={limits.tmp_files},mode=700,uid={uid},gid={gid}"
    kernel.mount("tmpfs", TMP, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)


def unmount_tmp() -> None:
    """Unmount the private tmp, which deletes its files."""
    kernel.unmount(TMP)


def _show(path: str) -> None:
    """Show a file or directory of the host in the new root, read-only under the same path; a symbolic link as a link."""
    target = Path(_NEW_ROOT + path)
    source = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if target.exists() and source.is_dir() and any(target.iterdir()):
        return
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    kernel.mount(path, str(target), flags=_MS_BIND | _MS_REC)
    kernel.protect_mount(str(target), _READ_ONLY | _NO_SETUID, recursive=True)
