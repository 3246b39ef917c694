"""How a server confines the programs it forks: chosen once (``choose``), applied in each child before its program (``enter``)."""

import os
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from stillhouse.verification.sandbox import kernel, landlock, limits, namespaces, seccomp, visible
from stillhouse.verification.sandbox.limits import Limits

NAMESPACES, PORTABLE, WEAK = "namespaces", "portable", "weak"
_UIDS_FROM, _UID_SLOTS, _SMALL_FROM, _SMALL_SLOTS = 0x70000000, 1 << 24, 20_000, 10_000
"""The uids of runs, taken two at a time; the small range is for containers that map only 65,536 uids."""


RULES = 5
"""The descriptor at which a child finds the Landlock rules until they are applied."""


class Unavailable(Exception):
    """The kernel does not allow this isolation; the message says what is missing."""


@dataclass(frozen=True)
class Confinement:
    """The confinement of every child of one server."""

    isolation: str
    tmp: str
    uids: tuple[int, int] | None
    """The uids of the program and its tester, if this server may change uids; no process outside the run has either."""
    ruleset: int | None
    filtered: bool
    reads_by_capability: bool
    """Python is in a private home directory: runs keep the capability to read, which Landlock narrows to the visible files."""
    processes: int | None
    """A descriptor of a procfs that lists the run's processes; None if there is none."""

    @property
    def own_pids(self) -> bool:
        """Whether the server is the first process of a pid namespace."""
        return self.isolation == NAMESPACES

    def facts(self) -> dict[str, object]:
        """What confines a program here, for reports."""
        version = landlock.version() if self.ruleset is not None else 0
        return {"landlock": version, "seccomp": self.filtered, "uids": self.uids, "tmp": self.tmp}


def choose(
    isolation: str, tmp: str, uids: tuple[int, int] | None, libraries: list[str], processes: int | None
) -> Confinement:  # fmt: skip
    """Check what the kernel supports, for a server that is already in its namespaces. Raises Unavailable.

    ``libraries``: directories that programs may read besides what every machine has.
    """
    ruleset = _ruleset(tmp, libraries) if landlock.version() else None
    filtered = _filter_works()
    if isolation == PORTABLE and ruleset is None:
        msg = "no Landlock: needs Linux 5.13 with landlock among the kernel's lsm="
        raise Unavailable(msg)
    if isolation != WEAK and not filtered:
        msg = "no seccomp filters: needs a kernel with CONFIG_SECCOMP_FILTER"
        raise Unavailable(msg)
    by_capability = uids is not None and isolation != NAMESPACES and not visible.readable_by_all(libraries)
    return Confinement(isolation, tmp, uids, ruleset, filtered, by_capability, processes)


def enter(confinement: Confinement, index: int, run: Limits, *, execute: bool) -> None:
    """Confine this process. ``index``: which of the run's uids it gets; ``execute``: whether it may replace itself."""
    os.chdir(confinement.tmp)
    os.umask(0o077)
    limits.apply(run, counted=confinement.uids is not None or confinement.own_pids)
    if confinement.uids is not None:
        if confinement.reads_by_capability:
            kernel.keep_capabilities()
        uid = confinement.uids[index]
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    kernel.set_capabilities(1 << kernel.CAP_DAC_READ_SEARCH if confinement.reads_by_capability else 0)
    kernel.die_with_parent()
    if confinement.own_pids or confinement.ruleset is None:
        kernel.forbid_inspection()
    else:
        kernel.allow_inspection()  # the server must see what the run holds open; Landlock keeps other programs from it
    kernel.forbid_new_privileges()
    if confinement.ruleset is not None:
        landlock.restrict(RULES)
        os.close(RULES)
    if confinement.filtered:
        allowed = seccomp.Allowed(processes=run.processes > 1, execute=execute, private=confinement.own_pids)
        kernel.filter_system_calls(seccomp.program(os.getpid(), allowed))


def owner(confinement: Confinement) -> tuple[int, int]:
    """uid and gid of the files that the run writes."""
    return (os.getuid(), os.getgid()) if confinement.uids is None else (confinement.uids[0], confinement.uids[0])


def _ruleset(tmp: str, libraries: list[str]) -> int:
    rules = [
        *((path, landlock.READ) for path in libraries),
        *((path, landlock.EXECUTE) for path in visible.system()),
        *((path, landlock.READ) for path in (*visible.library_parts(), *visible.DEVICES)),
        (visible.WRITABLE_DEVICE, landlock.WRITE),
    ]
    # A rule on a mount point applies to the directory it hides: so name its parent, which has no other entry.
    private = str(Path(tmp).parent) if tmp == namespaces.TMP else tmp
    return landlock.ruleset(rules, private)


def _filter_works() -> bool:
    """Whether a child can install a filter."""
    pid = os.fork()
    if not pid:
        try:
            kernel.forbid_new_privileges()
            kernel.filter_system_calls(seccomp.program(os.getpid(), seccomp.Allowed()))
            os._exit(0)
        except (OSError, KeyError):
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def free_uids() -> tuple[tuple[int, int], socket.socket] | None:
    """Two unused uids, reserved by the socket's abstract name while the socket is open. None if uids cannot be changed."""
    if os.getuid() != 0 or not kernel.capabilities() >> kernel.CAP_SETUID & 1:
        return None
    start, slots = (_UIDS_FROM, _UID_SLOTS) if _is_mapped(_UIDS_FROM + 2 * _UID_SLOTS) else (_SMALL_FROM, _SMALL_SLOTS)
    while True:
        slot = random.randrange(slots)
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0stillhouse-sandbox-{slot}")
        except OSError:
            lock.close()
            continue
        first = start + 2 * slot
        return (first, first + 1), lock


def _is_mapped(uid: int) -> bool:
    """Whether this user namespace maps the uid."""
    ranges = (map(int, line.split()) for line in Path("/proc/self/uid_map").read_text().splitlines())
    return any(first <= uid < first + count for first, _, count in ranges)
