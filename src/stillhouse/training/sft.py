"""TRL's SFTTrainer from the config of the sft stage."""

from typing import TYPE_CHECKING, Any

from stillhouse.training.batches import passes
from stillhouse.training.progress import attach, quiet_arguments

if TYPE_CHECKING:
    from stillhouse.stages.sft import Config, Inputs


def make_trainer(config: "Config", inputs: "Inputs", model: Any, tokenizer: Any, examples: list[dict[str, Any]]) -> Any:
    """A trainer over prompt-completion examples, with the loss on the completion's tokens alone.

    ``STILLHOUSE_MICRO_BATCH`` bounds the sequences to one forward pass; gradients add up to the config's batch size.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    micro_batch, accumulation = passes(config.batch_size)
    arguments = SFTConfig(
        output_dir=str(inputs.scratch / "trainer"), learning_rate=config.learning_rate, lr_scheduler_type="cosine",
        warmup_steps=config.warmup_ratio, num_train_epochs=config.epochs, max_steps=config.max_steps or -1,
        per_device_train_batch_size=micro_batch, gradient_accumulation_steps=accumulation,
        max_length=config.max_length, weight_decay=config.weight_decay, completion_only_loss=True, logging_steps=10,
        seed=config.seed, **quiet_arguments(),
    )  # fmt: skip
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(examples), processing_class=tokenizer)
    return attach(trainer, inputs)
