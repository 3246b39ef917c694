"""Packed sequences: several examples in one, kept apart by positions alone, which not every attention backend heeds.

Where a backend does not, every document sees the ones before it, and nothing but the loss's level shows it: so a packed run first
compares a document's logits inside a pack with those it has alone.
"""

from collections.abc import Sequence
from typing import Any

from stillhouse.errors import EngineFailed

LARGEST_DIFFERENCE = {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.02}
"""What rounding explains, as a share of the logits' standard deviation: a leak is of the order of 0.1 to 1."""


def difference(trainer: Any, documents: Sequence[dict[str, list[int]]]) -> float:
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


def require_isolation(trainer: Any, documents: Sequence[dict[str, list[int]]]) -> float:
    """The ``difference``; raises EngineFailed where it is larger than rounding explains."""
    found, kind = difference(trainer, documents), str(trainer.model.dtype).removeprefix("torch.")
    if found > LARGEST_DIFFERENCE.get(kind, 0.1):
        backend = trainer.model.config._attn_implementation
        msg = (
            f"packing: with attention backend {backend!r} documents of a pack see each other (logits differ by {found:.2g} of "
            "their deviation); set packing to false, or use another backend"
        )
        raise EngineFailed(msg)
    return found


def isolation_required(trainer: Any, documents: Sequence[dict[str, list[int]]]) -> Any:
    """A ``TrainerCallback`` that calls ``require_isolation`` before the first step, when a cut model can be run."""
    from transformers import TrainerCallback

    class Isolation(TrainerCallback):  # type: ignore[misc]
        """Looks once."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """All ranks run the same documents."""
            require_isolation(trainer, documents)

    return Isolation()


def _logits(trainer: Any, documents: Sequence[dict[str, list[int]]]) -> Any:
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
