"""Before the first step of a packed run: documents of a pack do not see each other, and the attention backend is right.

Not every attention backend heeds position ids. If one does not, every document sees the ones before it, and only the level of the
loss shows it. Others are wrong at some lengths. So a few short documents and a few long ones pass through the model three times:
together in a pack, each alone, and each alone by eager attention, transformers' plain matrix products.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stillhouse.errors import EngineFailed
from stillhouse.training.data.corpus import Corpus
from stillhouse.training.machine import attention

LARGEST_DIFFERENCE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.02}
"""What rounding explains, as a share of the logits' standard deviation, by dtype: a leak is of the order of 0.1 to 1."""
N_SHORT, N_LONG = 3, 2
"""Documents that are checked."""
MOST_TOKENS = 512
"""Long documents are cut to so many: beyond every block of a backend's kernel, and short enough for eager attention."""

Document = Mapping[str, Sequence[int] | npt.NDArray[np.int64]]
"""A training row with ``input_ids`` and ``labels``, both of shape (n_tokens,)."""


@dataclass(frozen=True)
class Differences:
    """The largest differences of some documents' logits, over the standard deviation of a document's logits."""

    lengths: tuple[int, ...]
    """The documents' tokens."""
    packed: float
    """Inside one pack, from alone."""
    alone: float
    """Alone, from alone by eager attention; 0 if the model has no eager attention."""


def chosen(corpus: Corpus) -> list[list[Document]]:
    """The documents that are checked together: the shortest ones, and the beginnings of the longest; the same on all ranks."""
    order = corpus.lengths.argsort(kind="stable").tolist()
    short = [corpus[number] for number in order[:N_SHORT]]
    long = [corpus[number] for number in order[-N_LONG:]]
    return [list(short), [{name: values[:MOST_TOKENS] for name, values in document.items()} for document in long]]


def differences(trainer: Trainer, documents: Sequence[Document]) -> Differences:
    """How the documents' logits differ, packed, alone and by eager attention."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    together = _logits(trainer, documents)
    inside = together.split([len(document["input_ids"]) for document in documents])
    alone = [_logits(trainer, [document]) for document in documents]
    eager = alone if _backend(model) == "eager" else _by_eager(trainer, model, documents) or alone
    return Differences(
        tuple(len(document["input_ids"]) for document in documents),
        max(_difference(*pair) for pair in zip(inside, alone, strict=True)),
        max(_difference(*pair) for pair in zip(alone, eager, strict=True)),
    )


def require_isolation(trainer: Trainer, documents: Sequence[Document]) -> Differences:
    """The ``differences``; raises EngineFailed, which says what is wrong, if one is larger than rounding explains."""
    measured = differences(trainer, documents)
    kind = "bfloat16" if trainer.args.bf16 else str(trainer.model.dtype).removeprefix("torch.")  # weights may be wider than passes
    bound = LARGEST_DIFFERENCE.get(kind, 0.1)
    wrong = []
    if measured.packed > bound:
        wrong.append(f"documents of a pack see each other (logits differ by {measured.packed:.2g} of their deviation from alone)")
    if measured.alone > bound:
        wrong.append(f"a document alone gets other logits than by eager attention (they differ by {measured.alone:.2g})")
    if wrong:
        backend = _backend(trainer.accelerator.unwrap_model(trainer.model))
        remedy = ", or packing to false" if measured.packed > bound else ""
        tokens = ", ".join(map(str, measured.lengths))
        msg = (
            f"packing: with attention backend {backend!r} {' and '.join(wrong)}; rounding explains {bound:g}; documents of "
            f"{tokens} tokens; set STILLHOUSE_ATTENTION to another backend{remedy}"
        )
        raise EngineFailed(msg)
    return measured


class RequireIsolation(TrainerCallback):
    """Calls ``require_isolation`` before the first step: a partitioned model can run from then on."""

    def __init__(self, trainer: Trainer, checked: Sequence[Sequence[Document]]) -> None:
        """``checked``: documents of the training set that are checked together, the same on all ranks."""
        self._trainer, self._checked = trainer, checked

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """All ranks run the same documents. Raises EngineFailed."""
        for documents in self._checked:
            require_isolation(self._trainer, documents)


def _backend(model: PreTrainedModel) -> str:
    return str(model.config._attn_implementation)


def _by_eager(trainer: Trainer, model: PreTrainedModel, documents: Sequence[Document]) -> list[torch.Tensor]:
    """Each document's logits alone by eager attention; nothing if the model has none."""
    with attention.using(model, "eager") as obstacle:
        return [] if obstacle else [_logits(trainer, [document]) for document in documents]


def _difference(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference over the deviation; infinite for logits that are not numbers. Both fp32, (n_tokens, vocabulary)."""
    largest = float((logits - expected).abs().max() / expected.std())
    return largest if np.isfinite(largest) else float("inf")


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
