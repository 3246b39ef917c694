"""TRL's SFTTrainer from the config of the sft stage."""

from typing import TYPE_CHECKING, Any

from stillhouse.training import checkpoints, liger, sharding
from stillhouse.training.batches import filled, passes
from stillhouse.training.loop import guarded
from stillhouse.training.packing import isolation_required, packed
from stillhouse.training.progress import attach, machine_arguments, measured

if TYPE_CHECKING:
    from stillhouse.stages.sft import Config, Inputs

PROBED = 3
"""Documents that are looked at for leaks between packed ones."""


def make_trainer(config: "Config", inputs: "Inputs", model: Any, tokenizer: Any, rows: list[dict[str, list[int]]]) -> Any:
    """A trainer over rows of ``input_ids`` and ``labels``.

    ``STILLHOUSE_MICRO_BATCH`` bounds the sequences to one forward pass; gradients add up to the config's batch size. Training
    raises EngineFailed where documents of a pack would see each other.
    """
    from trl import SFTConfig, SFTTrainer

    if config.lora:
        sharding.require_whole_weights("lora")
    micro_batch, accumulation = passes(config.batch_size)
    arguments = SFTConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="cosine", warmup_steps=config.warmup_ratio,
        num_train_epochs=config.epochs, max_steps=config.max_steps or -1, per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation, max_length=None, padding_free=config.packing,
        weight_decay=config.weight_decay, logging_steps=1, seed=config.seed,
        **liger.arguments(), **checkpoints.arguments(inputs), **machine_arguments(),
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # torch.nn.DataParallel would multiply the batch by the GPUs in sight
    trainer = measured(guarded(filled(SFTTrainer, config.batch_size)))(
        model=model, args=arguments, train_dataset=_dataset(config, rows), processing_class=tokenizer,
        peft_config=config.lora.peft() if config.lora else None,
    )  # fmt: skip
    if config.packing:
        trainer.add_callback(isolation_required(trainer, sorted(rows, key=lambda row: len(row["input_ids"]))[:PROBED]))
    return attach(trainer, inputs)


def _dataset(config: "Config", rows: list[dict[str, list[int]]]) -> Any:
    """The rows, packed if the config says so. TRL would cut what is longer than max_length: nothing here is."""
    import pyarrow as pa
    from datasets import Dataset

    tokens = pa.large_list(pa.int32())
    made = pa.table({name: pa.array([row[name] for row in rows], tokens) for name in rows[0]})
    return Dataset(packed(made, config.max_length) if config.packing else made)


def sequences(trainer: Any, config: "Config") -> dict[str, float]:
    """How many there are to train on; of packs also how full they are, as a share of their room."""
    import pyarrow.compute as pc

    n = len(trainer.train_dataset)
    if not config.packing:
        return {"n_sequences": n}
    n_tokens = pc.sum(pc.list_value_length(trainer.train_dataset.data.column("input_ids"))).as_py()
    return {"n_sequences": n, "packing_efficiency": n_tokens / (n * config.max_length)}
