"""TRL's SFTTrainer from the config of the sft stage."""

from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from stillhouse.execution.contract import StageInputs
from stillhouse.training import checkpoints, optimizer_choice
from stillhouse.training.checkpoints import FullDiskMixin
from stillhouse.training.data.batches import WholeBatchesMixin, passes
from stillhouse.training.data.corpus import Corpus
from stillhouse.training.data.isolation import RequireIsolation, chosen
from stillhouse.training.data.packing import packs
from stillhouse.training.loop import FiniteLossMixin
from stillhouse.training.lora import peft_config
from stillhouse.training.machine import dry_step, sequence_parallel
from stillhouse.training.machine.fsdp import FsdpOnCpusMixin
from stillhouse.training.machine.sequence_parallel import SharedSequencesMixin
from stillhouse.training.progress import MeasuredMixin, attach, machine_arguments
from stillhouse.training.sft.config import SftConfig


class CorpusSftTrainer(
    MeasuredMixin, FiniteLossMixin, FullDiskMixin, FsdpOnCpusMixin, WholeBatchesMixin, SFTTrainer, SharedSequencesMixin
):
    """TRL's trainer on rows that are tokenised already, with the checks and measurements of the sft stage."""

    def __init__(self, *, rows_per_step: int, **arguments: Any) -> None:
        """``rows_per_step``: of all processes together. ``arguments``: SFTTrainer's."""
        self.rows_per_step = rows_per_step
        super().__init__(**arguments)


def make_trainer(
    config: SftConfig, inputs: StageInputs, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus
) -> CorpusSftTrainer:
    """A trainer on the examples.

    On a GPU a dry step chooses the sequences in one forward pass, and ``STILLHOUSE_MICRO_BATCH`` bounds them; gradients add up to
    the config's batch size. Raises EngineFailed if nothing fits the GPU. Training raises EngineFailed if documents of a pack see
    each other, or the attention backend is wrong.
    """
    trainer = CorpusSftTrainer(
        rows_per_step=config.batch_size, model=model, args=_arguments(config, inputs, model), train_dataset=dataset(config, corpus),
        processing_class=tokenizer, peft_config=peft_config(config.lora) if config.lora else None,
    )  # fmt: skip
    sequence_parallel.meet()
    optimizer_choice.install(trainer, config)
    if config.packing:
        trainer.add_callback(RequireIsolation(trainer, chosen(corpus)))
    attach(trainer, inputs)
    longest = min(config.max_length, int(corpus.lengths.sum())) if config.packing else int(corpus.lengths.max())
    dry_step.choose(trainer, longest, packed=config.packing)
    return trainer


def _arguments(config: SftConfig, inputs: StageInputs, model: PreTrainedModel) -> SFTConfig:
    micro_batch, accumulation = passes(config.batch_size)
    arguments = SFTConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="cosine", warmup_steps=config.warmup_ratio,
        num_train_epochs=config.epochs, max_steps=config.max_steps or -1, per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation, max_length=None, padding_free=config.packing,
        weight_decay=config.weight_decay, logging_steps=1, seed=config.seed, **optimizer_choice.arguments(config),
        dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False,
        **sequence_parallel.arguments(model, config.max_length), **checkpoints.arguments(inputs), **machine_arguments(),
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # torch.nn.DataParallel would multiply the batch by the GPUs in sight
    return arguments


def dataset(config: SftConfig, corpus: Corpus) -> Dataset:
    """A dataset of example or pack numbers that fetches their tokens on access, since TRL accepts only a ``Dataset``."""
    if not config.packing:
        return _fetching(len(corpus), corpus.__getitem__)
    pack_of = packs(corpus.lengths, config.max_length)
    order, borders = np.argsort(pack_of, kind="stable"), np.concatenate(([0], np.cumsum(np.bincount(pack_of))))
    return _fetching(len(borders) - 1, lambda pack: corpus.joined(order[borders[pack] : borders[pack + 1]].tolist()))


def _fetching(n: int, row_of: Callable[[int], dict[str, Any]]) -> Dataset:
    def fetch(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [row_of(number) for number in batch["number"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    return Dataset.from_dict({"number": range(n)}).with_transform(fetch)


def sequence_metrics(trainer: CorpusSftTrainer, config: SftConfig, corpus: Corpus) -> dict[str, float]:
    """The number of training sequences; with packing also their fill, as a share of their room."""
    n = len(trainer.train_dataset)
    fill = {"packing_efficiency": int(corpus.lengths.sum()) / (n * config.max_length)} if config.packing else {}
    return {"n_sequences": n} | fill
