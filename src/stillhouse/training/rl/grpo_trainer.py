"""TRL's GRPOTrainer from the config of the rl stage."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stillhouse.training import checkpoints
from stillhouse.training.data.batches import passes
from stillhouse.training.loop import guarded
from stillhouse.training.machine import liger
from stillhouse.training.progress import attach, machine_arguments, measured
from stillhouse.training.rl import reward_watch, rollout_engine
from stillhouse.training.rl.logprob_check import Probe, pairs
from stillhouse.training.rl.on_policy import proven
from stillhouse.training.rl.rollout_prompts import Prompt

if TYPE_CHECKING:
    from stillhouse.stages.rl import Config, Inputs


def make_trainer(
    config: "Config",
    inputs: "Inputs",
    model: Any,
    tokenizer: Any,
    prompts: Mapping[str, Prompt],
    asked: Sequence[str],
    reward: Callable[..., list[float | None]],
) -> Any:
    """A strictly on-policy trainer: every batch of rollouts is used for one step and thrown away.

    ``asked``: the question ids of every step, one step after the other. ``STILLHOUSE_MICRO_BATCH`` bounds the rollouts to one
    forward pass; gradients add up to the whole batch. ``trainer.probe`` is what proves that the sampler has the weights; its memory
    belongs in checkpoints.
    """
    from datasets import Dataset
    from trl import GRPOTrainer

    rows = [{"question_id": each, "prompt": prompts[each].messages} for each in asked]
    probe = Probe(pairs(prompts, tokenizer))
    arguments = _arguments(config, inputs, max(each.n_tokens for each in prompts.values()) + config.max_tokens)
    with rollout_engine.made_for(config.engine):
        trainer = measured(guarded(proven(GRPOTrainer, probe)))(
            model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, reward_funcs=[reward],
        )  # fmt: skip
    rollout_engine.settle(trainer, config.seed)
    trainer.probe = probe
    trainer.add_callback(reward_watch.constant_reward(inputs))
    if config.plateau is not None:
        trainer.add_callback(reward_watch.plateau(config.plateau.window, config.plateau.least_gain, inputs))
    return attach(trainer, inputs)


def _arguments(config: "Config", inputs: "Inputs", longest: int) -> Any:
    """What TRL is told. ``longest``: tokens of the longest prompt with its rollout."""
    from trl import GRPOConfig

    micro_batch, accumulation = passes(config.prompts_per_step, "prompts_per_step", config.group_size)
    arguments = GRPOConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="constant", max_steps=config.steps,
        per_device_train_batch_size=micro_batch, gradient_accumulation_steps=accumulation, steps_per_generation=accumulation,
        num_iterations=1, num_generations=config.group_size, loss_type="grpo", max_completion_length=config.max_tokens,
        temperature=config.temperature, top_p=1.0, top_k=0, beta=config.kl_coefficient, entropy_coef=config.entropy_coefficient,
        mask_truncated_completions=config.mask_truncated, shuffle_dataset=False, logging_steps=1, seed=config.seed,
        **rollout_engine.arguments(config.engine, longest), **liger.arguments(), **checkpoints.arguments(inputs),
        **machine_arguments(),
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # see training.sft.sft_trainer
    return arguments
