"""TRL's GRPOTrainer from the config of the rl stage."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from stillhouse.rows import Question
from stillhouse.sampling.prompts import conversation
from stillhouse.training.batches import passes
from stillhouse.training.progress import attach, quiet_arguments

if TYPE_CHECKING:
    from stillhouse.stages.rl import Config, Inputs


def make_trainer(
    config: "Config",
    inputs: "Inputs",
    model: Any,
    tokenizer: Any,
    questions: Mapping[str, Question],
    reward: Callable[..., list[float]],
) -> Any:
    """A strictly on-policy trainer: every batch of rollouts is used for one step and thrown away.

    ``STILLHOUSE_MICRO_BATCH`` bounds the rollouts to one forward pass; gradients add up to the whole batch.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    micro_batch, accumulation = passes(config.prompts_per_step * config.group_size)
    arguments = GRPOConfig(
        output_dir=str(inputs.scratch / "trainer"), learning_rate=config.learning_rate, lr_scheduler_type="constant",
        max_steps=config.steps, per_device_train_batch_size=micro_batch, gradient_accumulation_steps=accumulation,
        steps_per_generation=accumulation, num_iterations=1, num_generations=config.group_size,
        loss_type="grpo", max_completion_length=config.max_tokens, temperature=config.temperature, top_p=1.0, top_k=0,
        beta=config.kl_coefficient, entropy_coef=config.entropy_coefficient, mask_truncated_completions=config.mask_truncated,
        logging_steps=1, seed=config.seed, **quiet_arguments(),
    )  # fmt: skip
    prompts = [
        {"question_id": each.question_id, "prompt": conversation(each.messages, config.system_prompt, config.suffix)}
        for each in questions.values()
    ]
    # TRL leaves out the last questions that do not fill a step, without a word: of too few, it would train on none.
    prompts *= -(-config.prompts_per_step // len(prompts))
    trainer = GRPOTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(prompts), processing_class=tokenizer, reward_funcs=[reward]
    )
    return attach(trainer, inputs)
