"""TRL's SFTTrainer from the config of the sft stage."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stillhouse.training import checkpoints
from stillhouse.training.data.batches import filled, passes
from stillhouse.training.data.corpus import Corpus
from stillhouse.training.data.packing import isolation_required, packs
from stillhouse.training.loop import guarded
from stillhouse.training.machine import liger, zero
from stillhouse.training.progress import attach, machine_arguments, measured

if TYPE_CHECKING:
    from stillhouse.stages.sft import Config, Inputs

PROBED = 3
"""Documents that are looked at for leaks between packed ones."""


def make_trainer(config: "Config", inputs: "Inputs", model: Any, tokenizer: Any, corpus: Corpus) -> Any:
    """A trainer on the examples.

    ``STILLHOUSE_MICRO_BATCH`` bounds the sequences to one forward pass; gradients add up to the config's batch size. Training
    raises EngineFailed where documents of a pack would see each other.
    """
    from trl import SFTConfig, SFTTrainer

    if config.lora:
        zero.require_whole_weights("lora")
    micro_batch, accumulation = passes(config.batch_size)
    arguments = SFTConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="cosine", warmup_steps=config.warmup_ratio,
        num_train_epochs=config.epochs, max_steps=config.max_steps or -1, per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation, max_length=None, padding_free=config.packing,
        weight_decay=config.weight_decay, logging_steps=1, seed=config.seed,
        dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False,
        **liger.arguments(), **checkpoints.arguments(inputs), **machine_arguments(),
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # torch.nn.DataParallel would multiply the batch by the GPUs in sight
    trainer = measured(guarded(filled(SFTTrainer, config.batch_size)))(
        model=model, args=arguments, train_dataset=dataset(config, corpus), processing_class=tokenizer,
        peft_config=config.lora.peft() if config.lora else None,
    )  # fmt: skip
    if config.packing:
        trainer.add_callback(isolation_required(trainer, shortest(corpus, PROBED)))
    return attach(trainer, inputs)


def dataset(config: "Config", corpus: Corpus) -> Any:
    """Numbers of examples, or of packs, whose tokens are fetched when a row is asked for: TRL takes nothing but its own type."""
    import numpy as np
    from datasets import Dataset

    if not config.packing:
        return _fetched(Dataset, len(corpus), corpus.__getitem__)
    pack_of = packs(corpus.lengths, config.max_length)
    order, borders = np.argsort(pack_of, kind="stable"), np.concatenate(([0], np.cumsum(np.bincount(pack_of))))
    return _fetched(Dataset, len(borders) - 1, lambda pack: corpus.joined(order[borders[pack] : borders[pack + 1]].tolist()))


def _fetched(dataset_class: Any, n: int, row: Callable[[int], dict[str, Any]]) -> Any:
    def fetch(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        found = [row(number) for number in batch["number"]]
        return {name: [each[name] for each in found] for name in found[0]}

    return dataset_class.from_dict({"number": range(n)}).with_transform(fetch)


def shortest(corpus: Corpus, n: int) -> list[dict[str, Any]]:
    """The shortest examples."""
    return [corpus[number] for number in corpus.lengths.argsort(kind="stable")[:n].tolist()]


def sequences(trainer: Any, config: "Config", corpus: Corpus) -> dict[str, float]:
    """How many there are to train on; of packs also how full they are, as a share of their room."""
    n = len(trainer.train_dataset)
    full = {"packing_efficiency": int(corpus.lengths.sum()) / (n * config.max_length)} if config.packing else {}
    return {"n_sequences": n} | full
