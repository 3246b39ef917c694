"""The processes of one training: torchrun starts one per GPU and names each by its rank. Without torchrun there is one, rank 0.

They talk over the key-value store that torchrun keeps: it is there before any GPU is touched, and waits as long as an upload takes.
What is said to be for *all ranks* must be called by all of them, in the same order.
"""

import itertools
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, TypeVar

from stillhouse.errors import RankLost, one_line

T = TypeVar("T")

POLL_S = 0.02
_calls = itertools.count()
_put_before: list[str] = []
"""Keys that this rank has put, and that are still there."""


def count() -> int:
    """How many processes work on this stage."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this one is; rank 0 claims, tracks and publishes for all."""
    return int(os.environ.get("RANK", "0"))


def share_of_cores() -> int:
    """The cores of this node that are this process's to use."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def from_first(make: Callable[[], T]) -> T:
    """What ``make`` gives on rank 0, which alone calls it; all ranks."""
    return _from(0, make)


def from_leader(make: Callable[[], T]) -> T:
    """What ``make`` gives on this node's first rank, which alone calls it: nodes share no disk; all ranks."""
    return _from(rank() - int(os.environ.get("LOCAL_RANK", "0")), make)


def gathered(value: T) -> list[T]:
    """Every rank's value, in the order of ranks, once all have come here; all ranks."""
    if count() == 1:
        return [value]
    call, read_by_all = next(_calls), list(_put_before)
    _put(f"{call}/{rank()}", value)
    found = [_get(f"{call}/{each}") for each in range(count())]
    _remove(read_by_all)  # whoever has come to this call has read what was said in earlier ones
    return found


def any_of(flag: bool, device: Any) -> bool:
    """Whether the flag is set on any rank, by the trainer's own connections: cheap enough for every step; all ranks."""
    return combined([float(flag)], device, "max")[0] > 0


def combined(numbers: Sequence[float], device: Any, how: Literal["sum", "max"]) -> list[float]:
    """Each number's sum or maximum over the ranks, by the trainer's own connections; all ranks."""
    if count() == 1:
        return list(numbers)
    import torch

    found = torch.tensor(numbers, device=device, dtype=torch.float64)
    torch.distributed.all_reduce(found, {"sum": torch.distributed.ReduceOp.SUM, "max": torch.distributed.ReduceOp.MAX}[how])
    return [float(each) for each in found]


@contextmanager
def peers() -> Iterator[None]:
    """Raise RankLost where the block fails because another rank is gone: that one's own words are the cause."""
    try:
        yield
    except RuntimeError as error:
        if count() == 1 or not _broken(error):
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes from torchrun, and would only disturb the way out
        msg = f"the other ranks are gone ({one_line(error)[:90]}); one said why; checkpoints are kept, the next try goes on"
        raise RankLost(msg) from error


def _broken(error: RuntimeError) -> bool:
    from torch import distributed

    return isinstance(error, distributed.DistError) or "gloo" in str(error)


def _from(source: int, make: Callable[[], T]) -> T:
    if count() == 1:
        return make()
    key = f"{next(_calls)}/{source}"
    if rank() != source:
        found: T = _get(key)
        return found
    made = make()
    _put(key, made)
    return made


def _put(key: str, value: object) -> None:
    with peers():
        _store().set(key, pickle.dumps(value))
    _put_before.append(key)


def _remove(keys: list[str]) -> None:
    """A run of weeks would fill rank 0's memory otherwise: the store forgets nothing by itself."""
    with peers():
        for key in keys:
            _store().delete_key(key)
            _put_before.remove(key)


def _get(key: str) -> Any:
    """Wait for the key. torchrun ends this process where the one that should set it is gone."""
    with peers():
        while not _store().check([key]):
            time.sleep(POLL_S)
        return pickle.loads(_store().get(key))


@cache
def _store() -> Any:
    from torch import distributed

    store, _, _ = next(iter(distributed.rendezvous("env://")))
    return distributed.PrefixStore(f"stillhouse/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
