"""Packed sequences: several examples in one, kept apart by positions alone, which not every attention backend heeds.

Packs are filled best fit first, the longest example first, over all examples at once: TRL packs a thousand at a time and leaves
more room. Examples of equal length are placed together, so that five million take seconds.

Where a backend does not, every document sees the ones before it, and nothing but the loss's level shows it: so a packed run first
compares a document's logits inside a pack with those it has alone.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stillhouse.errors import EngineFailed

if TYPE_CHECKING:
    import numpy as np

LARGEST_DIFFERENCE = {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.02}
"""What rounding explains, as a share of the logits' standard deviation: a leak is of the order of 0.1 to 1."""


def packs(lengths: "np.ndarray[Any, Any]", size: int) -> "np.ndarray[Any, Any]":
    """The number of the pack that each example goes to. ``lengths``: tokens of each, between 1 and ``size``."""
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    starts = np.flatnonzero(np.diff(lengths[order], prepend=0))
    pack_of, room = np.empty(len(lengths), np.int64), _Room(size)
    for start, block in zip(starts, np.split(order, starts[1:]), strict=True):
        length, done = int(lengths[order[start]]), 0
        while done < len(block):
            taken = room.take(length, len(block) - done)
            pack_of[block[done : done + len(taken)]] = taken
            done += len(taken)
    return pack_of


class _Room:
    """Packs by the tokens they have room for."""

    def __init__(self, size: int) -> None:
        self._size, self._n_packs = size, 0
        self._by_room: dict[int, list[np.ndarray[Any, Any]]] = {}
        self._rooms: list[int] = []
        """Those that some pack has, ascending."""

    def take(self, length: int, most: int) -> "np.ndarray[Any, Any]":
        """Packs for up to ``most`` examples of a length, a pack as often as it takes them: the fullest ones that have the room.

        That is what best fit does one by one: the pack that took one is then the fullest with room for the next.
        """
        import numpy as np

        place = bisect_left(self._rooms, length)
        room = self._rooms[place] if place < len(self._rooms) else self._size
        each = room // length
        wanted = -(-most // each)
        packs = self._open(wanted) if place == len(self._rooms) else self._fullest(room, wanted)
        taken = np.repeat(packs, each)[:most]
        self._put(packs[: len(taken) // each], room - each * length)
        if len(taken) % each:
            self._put(packs[-1:], room - len(taken) % each * length)
        return taken

    def _open(self, n: int) -> "np.ndarray[Any, Any]":
        import numpy as np

        self._n_packs += n
        return np.arange(self._n_packs - n, self._n_packs)

    def _fullest(self, room: int, most: int) -> "np.ndarray[Any, Any]":
        """Up to ``most`` packs of exactly that room, out of the books until they are put back."""
        waiting = self._by_room[room]
        found = waiting.pop()
        if len(found) > most:
            waiting.append(found[most:])
        if not waiting:
            del self._by_room[room]
            del self._rooms[bisect_left(self._rooms, room)]
        return found[:most]

    def _put(self, packs: "np.ndarray[Any, Any]", room: int) -> None:
        if not room or not len(packs):
            return
        if room not in self._by_room:
            self._by_room[room] = []
            insort(self._rooms, room)
        self._by_room[room].append(packs)


def difference(trainer: Any, documents: Sequence[Mapping[str, Any]]) -> float:
    """Largest difference between a document's logits in one pack and alone, over the standard deviation of its logits.

    ``documents``: rows with ``input_ids`` and ``labels``, such as two or three of the training set.
    """
    packed = _logits(trainer, documents)
    start, found = 0, 0.0
    for document in documents:
        length = len(document["input_ids"])
        alone, inside = _logits(trainer, [document]), packed[start : start + length]
        found = max(found, float((alone - inside).abs().max() / alone.std()))
        start += length
    return found


def require_isolation(trainer: Any, documents: Sequence[Mapping[str, Any]]) -> float:
    """The ``difference``; raises EngineFailed where it is larger than rounding explains."""
    found = difference(trainer, documents)
    kind = "bfloat16" if trainer.args.bf16 else str(trainer.model.dtype).removeprefix("torch.")  # weights may be wider than passes
    if found > LARGEST_DIFFERENCE.get(kind, 0.1):
        backend = trainer.model.config._attn_implementation
        msg = (
            f"packing: with attention backend {backend!r} documents of a pack see each other (logits differ by {found:.2g} of "
            "their deviation); set packing to false, or use another backend"
        )
        raise EngineFailed(msg)
    return found


def isolation_required(trainer: Any, documents: Sequence[Mapping[str, Any]]) -> Any:
    """A ``TrainerCallback`` that calls ``require_isolation`` before the first step, when a cut model can be run."""
    from transformers import TrainerCallback

    class Isolation(TrainerCallback):  # type: ignore[misc]
        """Looks once."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """All ranks run the same documents."""
            require_isolation(trainer, documents)

    return Isolation()


def _logits(trainer: Any, documents: Sequence[Mapping[str, Any]]) -> Any:
    """The logits of the documents as one pack, by the collator and the arguments that training uses, shape (tokens, vocabulary)."""
    import torch

    joined = {name: [each for document in documents for each in document[name]] for name in ("input_ids", "labels")}
    batch = trainer.data_collator([joined | {"seq_lengths": [len(document["input_ids"]) for document in documents]}])
    batch.pop("labels")
    on_device = {name: value.to(trainer.model.device) if hasattr(value, "to") else value for name, value in batch.items()}
    was_training = trainer.model.training
    trainer.model.eval()
    with torch.no_grad():  # ZeRO 3 keeps some of the weights it gathers, and none made in inference mode can be trained
        logits = trainer.model(**on_device, use_cache=False).logits[0].float()
    trainer.model.train(was_training)
    return logits
