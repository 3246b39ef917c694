"""Who writes an output: a claim beside its files, renewed by a heartbeat; once it expires, another process may take over.

Expiry is judged by the observer's own clock: a claim that has not changed for the length of the lease has no live owner,
whatever the owner's clock says. Only a compare-and-swap changes a claim, so two writers cannot both hold it.
"""

import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from stillhouse.artifacts import naming, outages, store
from stillhouse.artifacts.manifest import StoredModel
from stillhouse.errors import LeaseLost, StillhouseError
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line

CLAIM = "claim.json"
"""The file that says who owns the files of an output without a manifest."""
VARIABLE, LEASE_S, LONGEST_S = "STILLHOUSE_LEASE_S", 60.0, 86_400.0
BEATS = 3
"""Renewals per lease."""


class Owner(StoredModel):
    """One attempt to make an output: a process, on a machine."""

    attempt: str
    """Eight random hex digits, which its parts carry in their names."""
    host: str
    pid: int
    started: datetime
    kernel: str | None = None
    """The boot and the process namespace that ``pid`` belongs to."""
    start: str | None = None
    """When the process started, by the kernel's clock: pids are reused."""

    def __str__(self) -> str:
        return f"{self.host} (process {self.pid}, since {self.started:%Y-%m-%d %H:%M:%S} UTC)"

    @property
    def is_gone(self) -> bool:
        """Whether the owner ran in this boot and namespace and has ended: then nobody has to wait for its lease."""
        if self.kernel is None or self.kernel != _kernel():
            return False
        return _start(self.pid) != self.start and not _is_hidden(self.pid)


class Work(StoredModel):
    """The work whose result an output is to hold."""

    stage: str
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, list[str]]
    """Fingerprints by the input's name."""

    def differences(self, before: "Work") -> str:
        """What changed since ``before``, in words."""
        fields = [name for name in {**before.config, **self.config} if before.config.get(name) != self.config.get(name)]
        changes = [f"{name} was {before.config.get(name)!r}, is {self.config.get(name)!r}" for name in fields]
        inputs = sorted(name for name in {**before.inputs, **self.inputs} if before.inputs.get(name) != self.inputs.get(name))
        return "; ".join(changes + [f"another input {name}" for name in inputs]) or "another version of the stage"


class Claim(StoredModel):
    """Who is writing an output, which work, and which attempts own the files there."""

    work: Work
    owner: Owner
    lease_s: float
    beat: int = 0
    """Counts renewals: a claim that does not change has no live owner."""
    progress: str = ""
    """How far the owner is, as ``36 of 188``; empty until its stage reports it."""
    released: bool = False
    """Whether the owner ended without a result."""
    attempts: list[str]
    """The attempts at this work, oldest first, the owner's last: their parts are taken over."""
    discarded: list[str] = Field(default_factory=list)
    """Attempts at other work before: their parts are removed once a result is published."""
    files: list[str] = Field(default_factory=list)
    """Published files of all these attempts whose names do not carry the attempt."""

    def owns(self, name: str) -> bool:
        """Whether one of the attempts wrote the file of this stored name."""
        origin = naming.untagged(name)
        return is_claim(name) or name in self.files or (origin is not None and origin[1] in {*self.attempts, *self.discarded})


def is_claim(name: str) -> bool:
    """Whether a stored name is the claim's, or one of its versions'."""
    return name == CLAIM or (name.startswith(f"{CLAIM}.") and name.removeprefix(f"{CLAIM}.").isdecimal())


def first_claim(work: Work, before: Claim | None) -> Claim:
    """A new attempt's claim; it continues an earlier attempt's claim if there is one."""
    owner = Owner(
        attempt=secrets.token_hex(4), host=platform.node(), pid=os.getpid(), started=datetime.now(UTC), kernel=_kernel(),
        start=_start(os.getpid()),
    )  # fmt: skip
    lease_s = min(environment.number(VARIABLE, LEASE_S), LONGEST_S)
    if before is None:
        return Claim(work=work, owner=owner, lease_s=lease_s, attempts=[owner.attempt])
    same = before.work.fingerprint == work.fingerprint
    return Claim(
        work=work, owner=owner, lease_s=lease_s, attempts=[*(before.attempts if same else ()), owner.attempt],
        discarded=[*before.discarded, *(() if same else before.attempts)], files=before.files,
    )  # fmt: skip


class Lease:
    """A claim that this process holds, and renews from a thread of its own until it is closed or released.

    As a context it is released where the block raises, so that the next attempt need not wait for it.
    """

    def __init__(self, uri: str, claim: Claim, version: int) -> None:
        self.claim = claim
        self._uri, self._version = uri, version
        self._lock, self._end = threading.Lock(), threading.Event()
        self._lost, self._progress = False, ""
        self._renewed = _clock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.release()

    def reach(self, progress: str) -> None:
        """Say how far the work is: the next renewal tells those who wait."""
        self._progress = progress

    def check(self) -> None:
        """Raise LeaseLost if another process took over the output. Call it before every upload."""
        if self._lost:
            raise self._loss()
        if _clock() - self._renewed > self.claim.lease_s / BEATS * 2:  # this process slept, or the store was away
            self.renew()

    def renew(self, **changes: Any) -> None:
        """Write the claim again, with these changes. Raises LeaseLost if this attempt no longer holds it."""
        with self._lock:
            if self._lost:
                raise self._loss()
            begun = _clock()
            claim = self.claim.model_copy(update={"beat": self.claim.beat + 1, "progress": self._progress, **changes})
            claim_uri = store.join(self._uri, CLAIM)
            try:
                self._version = store.store_of(claim_uri).swap(claim_uri, claim.model_dump_json().encode(), self._version)
            except store.AlreadyThere as error:
                self._lost = True
                raise self._loss() from error
            self.claim, self._renewed = claim, begun

    def note_files(self, names: Sequence[str]) -> None:
        """Record the names of files about to be published that do not carry the attempt."""
        if set(names) - set(self.claim.files):
            self.renew(files=sorted({*self.claim.files, *names}))

    def release(self) -> None:
        """Let the next attempt begin at once. If the store does not answer now, it has to wait for the lease to expire."""
        self.close()
        with suppress(StillhouseError), outages.at_most(1):
            self.renew(released=True)

    def close(self) -> None:
        """End the heartbeat."""
        self._end.set()
        self._thread.join(self.claim.lease_s)

    def _beat(self) -> None:
        interval = self.claim.lease_s / BEATS
        while not self._end.wait(interval):
            try:
                with outages.at_most(interval):
                    self.renew()
            except LeaseLost:
                return
            except StillhouseError:
                continue  # the store is away; the next upload checks whether the claim survived
            except Exception as error:  # noqa: BLE001 - a thread that ended would lose the lease hours before anybody sees it
                print(f"  {self._uri}: the claim was not renewed ({one_line(error)})", file=sys.stderr, flush=True)

    def _loss(self) -> LeaseLost:
        return LeaseLost(
            f"{self._uri}: another process took this output over while this one slept or could not reach the store; nothing more "
            "is uploaded: run the same command again, which waits for that one or goes on from its parts"
        )


def _kernel() -> str | None:
    """The boot and the process namespace that process ids belong to; None if the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115  # not a path: pid:[4026531836]
    except OSError:
        return None


def _start(pid: int) -> str | None:
    """When a process started, in kernel ticks since boot; None if it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state in {"Z", "X"} else fields[18]


def _is_hidden(pid: int) -> bool:
    """Whether a process of this number lives that the system hides from other users (``hidepid``)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return _start(pid) is None
    except (ProcessLookupError, OverflowError):
        return False
    return False


def _clock() -> float:
    """A clock in seconds that keeps running while the machine is suspended, if the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
