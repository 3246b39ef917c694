"""The processes of one training: torchrun starts one per GPU and gives each a rank. Without torchrun there is one, rank 0.

They exchange values over the key-value store that torchrun keeps: it exists before any GPU is touched, and waits as long as an
upload takes. A function marked *all ranks* must be called by all of them, in the same order.

Ranks share what one of them cleans up: the first rank of a node fetches the inputs and builds the corpus in its scratch directory,
and the others read them there. So no rank may clean up before all have left the work: ``together`` holds each one at the end of its
block, also the one that failed, and then raises the same error on all.
"""

import itertools
import math
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast

from stillhouse import errors
from stillhouse.errors import RankLost, StillhouseError
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.text import shortened

T = TypeVar("T")

POLL_S = 0.02
LEAVE_S = 60.0
"""How long a rank that failed waits for the others to leave the block: some may be stuck in a collective call."""


class _Failure(NamedTuple):
    """The error of one rank, in a form that any rank can read."""

    kind: str
    """Name of the class; empty if it is not a StillhouseError."""
    message: str
    rank: int


class _Position:
    """Where this rank is in the sequence of calls that all ranks make: it names the keys."""

    def __init__(self) -> None:
        self.block, self.calls = 0, itertools.count()
        self.own_keys: list[str] = []
        """Keys this rank has put that are still in the store."""

    def next_call(self) -> str:
        """The key of the next call."""
        return f"{self.block}/{next(self.calls)}"

    def next_block(self) -> None:
        """Restart the count on every rank, since ranks may have failed at different calls."""
        self.block, self.calls = self.block + 1, itertools.count()


_position = _Position()


def count() -> int:
    """How many processes work on this stage."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The rank of this process; rank 0 claims, tracks and publishes for all."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """The rank of this process on its node: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def usable_cores(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """The number of cores this process may use: those it may run on, or fewer where a cgroup's CPU quota allows fewer.

    ``cgroups`` is where cgroups are mounted, ``membership`` names the cgroup of this process.
    """
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _cpu_quota(cgroups, membership))))


def _cpu_quota(cgroups: Path, membership: Path) -> float:
    """The smallest CPU quota, in cores, of this process's cgroup (version 2 or 1) and those around it; infinite without one."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return math.inf
    quotas = [math.inf]
    for _, controllers, path in lines:
        top = cgroups if not controllers else cgroups / "cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        directory = top / path.strip("/")
        for level in (directory, *(parent for parent in directory.parents if parent.is_relative_to(top))):
            quotas.append(_quota_of(level))
    return min(quotas)


def _quota_of(level: Path) -> float:
    """The quota of one cgroup in cores: microseconds of processor time over microseconds of wall time."""
    try:
        if (level / "cpu.max").exists():
            quota, period = (level / "cpu.max").read_text().split()
        else:
            quota, period = ((level / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
    except (OSError, ValueError):
        return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)


def ranks_of_node() -> range:
    """The ranks of this node, the first of which fetches for all."""
    first = rank() - int(os.environ.get("LOCAL_RANK", "0"))
    return range(first, first + int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def share_of_cores() -> int:
    """The number of this node's cores that this process may use."""
    return max(1, usable_cores() // len(ranks_of_node()))


def from_first(make: Callable[[], T]) -> T:
    """The value of ``make`` on rank 0, which alone calls it. An error it raises is raised on every rank; all ranks."""
    return _from(0, make)


def from_leader(make: Callable[[], T]) -> T:
    """The value of ``make`` on this node's first rank, which alone calls it: nodes share no disk. Errors likewise; all ranks."""
    return _from(ranks_of_node().start, make)


def gathered(value: T) -> list[T]:
    """Every rank's value, in the order of ranks, once all have called; all ranks."""
    if count() == 1:
        return [value]
    call, read_by_all = _position.next_call(), list(_position.own_keys)
    _put(f"{call}/{rank()}", value)
    values = [_get(f"{call}/{number}") for number in range(count())]
    _remove(read_by_all)  # a rank that has come to this call has read the keys of earlier ones
    return values


@contextmanager
def together() -> Iterator[None]:
    """A block that all ranks leave together, whether it ends well or not; all ranks.

    If it raises on one rank, all ranks raise the same error, with that rank's message. A rank that
    failed waits for the others at most ``LEAVE_S``.
    """
    if count() == 1:
        yield
        return
    own: Exception | None = None
    try:
        yield
    except RankLost as error:  # nobody is left to wait for, but others may wait for this rank
        _put(f"{_position.block}/left/{rank()}", _failure(error))
        raise
    except Exception as error:  # noqa: BLE001 - raised again below, once the other ranks know it
        own = error
    failures = _failures(own)
    _position.next_block()
    if failures:
        _raise(failures, own)


def combined(numbers: Sequence[float], device: Any, how: Literal["sum", "max"]) -> list[float]:
    """Each number's sum or maximum over the ranks, by the trainer's own connections: cheap enough for every step; all ranks."""
    if count() == 1:
        return list(numbers)
    import torch

    tensor = torch.tensor(numbers, device=device, dtype=torch.float64)
    torch.distributed.all_reduce(tensor, {"sum": torch.distributed.ReduceOp.SUM, "max": torch.distributed.ReduceOp.MAX}[how])
    return [float(number) for number in tensor]


@contextmanager
def peers() -> Iterator[None]:
    """Raise RankLost if the block fails because another rank is gone, whose own message names the cause."""
    try:
        yield
    except RuntimeError as error:
        if count() == 1 or not _broken(error):
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it next, and it would only disturb the exit
        why = shortened(one_line(error), 90)
        msg = f"the other ranks are gone ({why}); look for the one that says why; checkpoints are kept, the next try goes on"
        raise RankLost(msg) from error


def _broken(error: RuntimeError) -> bool:
    from torch import distributed

    return isinstance(error, distributed.DistError) or "gloo" in str(error)


def _from(source: int, make: Callable[[], T]) -> T:
    if count() == 1:
        return make()
    key = f"{_position.next_call()}/{source}"
    if rank() != source:
        if isinstance(received := _get(key), _Failure):
            raise _error(received)
        return cast("T", received)
    try:
        value = make()
    except StillhouseError as error:
        _put(key, _failure(error))
        raise
    _put(key, value)
    return value


def _failures(own: Exception | None) -> list[_Failure]:
    """The errors of all ranks that failed in the block, once every rank has left it or the wait for them is over."""
    _put(f"{_position.block}/left/{rank()}", _failure(own) if own else None)
    missing = [number for number in range(count()) if number != rank()]
    failures = [_failure(own)] if own else []
    until = time.monotonic() + LEAVE_S if own else None
    while missing and (until is None or time.monotonic() < until):
        left = [number for number in missing if _is_there(f"{_position.block}/left/{number}")]
        failures += [failure for number in left if (failure := _read(f"{_position.block}/left/{number}"))]
        missing = [number for number in missing if number not in left]
        if failures and until is None:
            until = time.monotonic() + LEAVE_S
        if missing and not left:
            time.sleep(POLL_S)
    return failures


def _raise(failures: Sequence[_Failure], own: Exception | None) -> None:
    """Raise the same error on every rank: a refusal before a crash, a crash before its consequences, then the lowest rank's."""
    order = {"": 1, RankLost.__name__: 2}
    first = min(failures, key=lambda failure: (order.get(failure.kind, 0), failure.rank))
    if own is not None and first.rank == rank():
        raise own
    raise _error(first) from own


def _failure(error: Exception) -> _Failure:
    return _Failure(type(error).__name__ if isinstance(error, StillhouseError) else "", one_line(error), rank())


def _error(failure: _Failure) -> StillhouseError:
    """Another rank's error, as it was raised there; RankLost for a crash, since that rank prints the traceback."""
    kind = getattr(errors, failure.kind, None) if failure.kind else None
    if isinstance(kind, type) and issubclass(kind, StillhouseError):
        return kind(failure.message)
    return RankLost(f"rank {failure.rank} failed: {failure.message}")


def _put(key: str, value: object) -> None:
    with peers():
        shared_store().set(key, pickle.dumps(value))
    _position.own_keys.append(key)


def _remove(keys: list[str]) -> None:
    """Delete keys that all ranks have read: the store keeps keys forever, and a run of weeks would fill rank 0's memory."""
    with peers():
        for key in keys:
            shared_store().delete_key(key)
            _position.own_keys.remove(key)


def _get(key: str) -> Any:
    """Wait for the key. Raises a failure of the rank that should put it; torchrun ends this process if that one is gone."""
    source = key.rpartition("/")[2]
    left = f"{_position.block}/left/{source}"
    while not _is_there(key):
        if _is_there(left) and not _is_there(key):
            failure = _read(left)
            raise _error(failure or _Failure("", "it left before this rank", int(source)))
        time.sleep(POLL_S)
    return _read(key)


def _is_there(key: str) -> bool:
    with peers():
        return bool(shared_store().check([key]))


def _read(key: str) -> Any:
    with peers():
        return pickle.loads(shared_store().get(key))


@cache
def shared_store() -> Any:
    """The key-value store of all ranks of this start."""
    from torch import distributed

    store, _, _ = next(iter(distributed.rendezvous("env://")))
    return distributed.PrefixStore(f"stillhouse/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
