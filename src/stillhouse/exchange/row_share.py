"""Which rows of a source this process reads, where several share a source: a reader passes over the others before it parses them.

A reader asks ``is_mine`` for a row's number, and gives ``PASSED_OVER`` in place of a row of another process; one that does not ask
is divided by whoever reads its rows. Bad rows are then counted for all processes together, not refused by one.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from stillhouse.vocabulary.rows import Dropped
from stillhouse.vocabulary.shards import Shard

T = TypeVar("T")

STRETCH = 16
"""Rows one after the other that go to one process."""
PASSED_OVER = Dropped("", "other_shard", "", "")
"""What a reader gives in place of a row of another process."""


@dataclass
class RowShare:
    """One process's share of a source, and what was read of it."""

    shard: Shard
    is_asked: bool = False
    """Whether the reader divides the rows itself."""
    n_good: int = 0
    n_bad: int = 0

    def holds(self, number: int) -> bool:
        """Whether the row of this number is in the share."""
        return number // STRETCH % self.shard.count == self.shard.index

    def of(self, rows: Iterator[T | Dropped]) -> Iterator[T | Dropped | None]:
        """The rows of a source, with None in place of those of other processes."""
        number = 0
        while True:
            token = _current.set(self)
            try:
                row = next(rows, None)
            finally:
                _current.reset(token)
            if row is None:
                return
            mine = row is not PASSED_OVER if self.is_asked else self.holds(number)
            yield row if mine else None
            number += 1


_current: ContextVar[RowShare | None] = ContextVar("row_share", default=None)


def is_mine(number: int) -> bool:
    """Whether this process reads the row of this number; all of them unless a source is shared."""
    share = _current.get()
    if share is None:
        return True
    share.is_asked = True
    return share.holds(number)


def count(*, good: int, bad: int) -> bool:
    """Note the rows read of a shared source; False if it is not shared, and the reader judges them alone."""
    share = _current.get()
    if share is None or share.shard.count == 1:
        return False
    share.n_good, share.n_bad = share.n_good + good, share.n_bad + bad
    return True
