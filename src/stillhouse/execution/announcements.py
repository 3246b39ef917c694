"""What ranks tell each other at any time and from any thread, beside the calls that all of them make in order (``processes``)."""

from collections.abc import Iterator
from contextlib import contextmanager

from stillhouse.errors import RankLost
from stillhouse.execution import processes
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.text import shortened


def announce(name: str, text: str) -> None:
    """Say something to the other ranks, once under each name. Raises RankLost."""
    if processes.count() > 1:
        with _errors():
            processes.shared_store().set(_key(name, processes.rank()), text)


def announced(name: str, rank: int) -> str | None:
    """What another rank announced under the name, None if nothing so far. Raises RankLost."""
    with _errors():
        store = processes.shared_store()
        return str(store.get(_key(name, rank)).decode()) if store.check([_key(name, rank)]) else None


def _key(name: str, rank: int) -> str:
    return f"announced/{name}/{rank}"


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        msg = f"the other ranks cannot be reached: {shortened(one_line(error), 90)}"
        raise RankLost(msg) from error
