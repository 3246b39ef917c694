"""Packed sequences: several examples in one, isolated from each other by position ids.

Packs are filled best fit first, the longest example first, over all examples at once: TRL packs a thousand at a time and leaves
more room. Examples of equal length are placed together, so that five million take seconds.
"""

from bisect import bisect_left, insort

import numpy as np
import numpy.typing as npt


def packs(lengths: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """The number of each example's pack, shape (n_examples,).

    ``lengths``: tokens of each example, shape (n_examples,), between 1 and ``size``.
    """
    order = np.argsort(-lengths, kind="stable")
    starts = np.flatnonzero(np.diff(lengths[order], prepend=0))
    pack_of, packs_by_room = np.empty(len(lengths), np.int64), _PacksByRoom(size)
    for start, block in zip(starts, np.split(order, starts[1:]), strict=True):
        length, done = int(lengths[order[start]]), 0
        while done < len(block):
            taken = packs_by_room.take(length, len(block) - done)
            pack_of[block[done : done + len(taken)]] = taken
            done += len(taken)
    return pack_of


class _PacksByRoom:
    """Packs by the tokens they have room for. Arrays hold pack numbers, shape (n_packs,)."""

    def __init__(self, size: int) -> None:
        self._size, self._n_packs = size, 0
        self._by_room: dict[int, list[npt.NDArray[np.int64]]] = {}
        self._rooms: list[int] = []
        """The keys of ``_by_room``, ascending."""

    def take(self, length: int, most: int) -> npt.NDArray[np.int64]:
        """Packs for up to ``most`` examples of one length, each pack repeated as often as it takes them; the fullest come first.

        Best fit one by one gives the same: the pack that took one example is then the fullest with room for the next.
        """
        index = bisect_left(self._rooms, length)
        room = self._rooms[index] if index < len(self._rooms) else self._size
        per_pack = room // length
        wanted = -(-most // per_pack)
        packs = self._open(wanted) if index == len(self._rooms) else self._fullest(room, wanted)
        taken = np.repeat(packs, per_pack)[:most]
        self._put(packs[: len(taken) // per_pack], room - per_pack * length)
        if len(taken) % per_pack:
            self._put(packs[-1:], room - len(taken) % per_pack * length)
        return taken

    def _open(self, n: int) -> npt.NDArray[np.int64]:
        self._n_packs += n
        return np.arange(self._n_packs - n, self._n_packs)

    def _fullest(self, room: int, most: int) -> npt.NDArray[np.int64]:
        """Remove and return up to ``most`` packs with exactly that room."""
        waiting = self._by_room[room]
        packs = waiting.pop()
        if len(packs) > most:
            waiting.append(packs[most:])
        if not waiting:
            del self._by_room[room]
            del self._rooms[bisect_left(self._rooms, room)]
        return packs[:most]

    def _put(self, packs: npt.NDArray[np.int64], room: int) -> None:
        if not room or not len(packs):
            return
        if room not in self._by_room:
            self._by_room[room] = []
            insort(self._rooms, room)
        self._by_room[room].append(packs)
