"""Packed sequences: several examples in one, isolated from each other by position ids.

Packs are filled best fit first, the longest example first, over all examples at once: TRL packs a thousand at a time and leaves
more room. Examples of equal length are placed together, so that five million take seconds.

Not every attention backend heeds position ids. If one does not, every document sees the ones before it, and only the level of the
loss shows it; so a packed run first compares a document's logits inside a pack with its logits alone.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.errors import EngineFailed

LARGEST_DIFFERENCE = {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.02}
"""What rounding explains, as a share of the logits' standard deviation, by dtype: a leak is of the order of 0.1 to 1."""

Document = Mapping[str, Sequence[int] | npt.NDArray[np.int64]]
"""A training row with ``input_ids`` and ``labels``, both of shape (n_tokens,)."""


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


def difference(trainer: Trainer, documents: Sequence[Document]) -> float:
    """The largest difference between a document's logits inside one pack and alone, over the standard deviation of its logits."""
    packed = _logits(trainer, documents)
    start, largest = 0, 0.0
    for document in documents:
        length = len(document["input_ids"])
        alone, inside = _logits(trainer, [document]), packed[start : start + length]
        largest = max(largest, float((alone - inside).abs().max() / alone.std()))
        start += length
    return largest


def require_isolation(trainer: Trainer, documents: Sequence[Document]) -> float:
    """The ``difference``; raises EngineFailed if it is larger than rounding explains."""
    leak = difference(trainer, documents)
    kind = "bfloat16" if trainer.args.bf16 else str(trainer.model.dtype).removeprefix("torch.")  # weights may be wider than passes
    if leak > LARGEST_DIFFERENCE.get(kind, 0.1):
        backend = trainer.model.config._attn_implementation
        msg = (
            f"packing: with attention backend {backend!r} documents of a pack see each other (logits differ by {leak:.2g} of "
            "their deviation); set packing to false, or use another backend"
        )
        raise EngineFailed(msg)
    return leak


class RequireIsolation(TrainerCallback):
    """Calls ``require_isolation`` once, before the first step: a partitioned model can run from then on."""

    def __init__(self, trainer: Trainer, documents: Sequence[Document]) -> None:
        """``documents``: two or three of the training set, the same on all ranks."""
        self._trainer, self._documents = trainer, documents

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """All ranks run the same documents. Raises EngineFailed."""
        require_isolation(self._trainer, self._documents)


def _logits(trainer: Trainer, documents: Sequence[Document]) -> torch.Tensor:
    """The documents' logits as one pack, by the collator and arguments of the training: fp32, shape (n_tokens, vocabulary)."""
    joined = {name: [token for document in documents for token in document[name]] for name in ("input_ids", "labels")}
    batch = trainer.data_collator([joined | {"seq_lengths": [len(document["input_ids"]) for document in documents]}])
    batch.pop("labels")
    on_device = {name: value.to(trainer.model.device) if hasattr(value, "to") else value for name, value in batch.items()}
    was_training = trainer.model.training
    trainer.model.eval()
    with torch.no_grad():  # ZeRO 3 keeps some of the weights it gathers, and weights made in inference mode cannot be trained
        logits = trainer.model(**on_device, use_cache=False).logits[0].float()
    trainer.model.train(was_training)
    return logits
