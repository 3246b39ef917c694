"""Namespaces: a root directory with only the ``visible`` files of the host, no network, and processes and IPC of its own.

A server enters them once. Root with CAP_SYS_ADMIN needs no user namespace; any other user creates one, if the kernel allows it.
"""

import os
from pathlib import Path

from stillhouse.verification.sandbox import kernel, visible
from stillhouse.verification.sandbox.limits import Limits

TMP = "/run/tmp"
"""The private tmp in the new root: a file system in memory, mounted anew for each run."""
INSIDE_ID = 1000
"""uid and gid in a user namespace."""

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_READ_ONLY, _NO_SETUID = 1, 2
_NEW_ROOT = "/proc"
"""Where the new root is assembled: a directory that always exists and that the new root does not show."""


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


def change_root() -> None:
    """Assemble the new root and move into it. The host's tree does not change: this process left its mount namespace."""
    kernel.mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    kernel.mount("tmpfs", _NEW_ROOT, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for path in (*visible.system(), visible.standard_library(), *visible.DEVICES):
        _show(path)
    for path in visible.hidden():
        kernel.mount("tmpfs", _NEW_ROOT + path, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=0,nr_inodes=1")
    Path(_NEW_ROOT + TMP).mkdir(parents=True)
    Path(_NEW_ROOT + "/tmp").symlink_to(TMP)
    os.chdir(_NEW_ROOT)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    kernel.protect_mount("/", _READ_ONLY, recursive=False)


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
