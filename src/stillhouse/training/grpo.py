"""TRL's GRPOTrainer from the config of the rl stage."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from stillhouse.rows import Question
from stillhouse.sampling.prompts import conversation
from stillhouse.training import checkpoints, curriculum
from stillhouse.training.batches import passes
from stillhouse.training.loop import guarded
from stillhouse.training.progress import attach, machine_arguments

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

    micro_batch, accumulation = passes(config.prompts_per_step, "prompts_per_step", config.group_size)
    arguments = GRPOConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="constant", max_steps=config.steps,
        per_device_train_batch_size=micro_batch, gradient_accumulation_steps=accumulation, steps_per_generation=accumulation,
        num_iterations=1, num_generations=config.group_size, loss_type="grpo", max_completion_length=config.max_tokens,
        temperature=config.temperature, top_p=1.0, top_k=0, beta=config.kl_coefficient, entropy_coef=config.entropy_coefficient,
        mask_truncated_completions=config.mask_truncated, shuffle_dataset=False, logging_steps=1, seed=config.seed,
        **checkpoints.arguments(inputs), **machine_arguments(),
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # see training.sft
    trainer = guarded(GRPOTrainer)(
        model=model, args=arguments, train_dataset=Dataset.from_list(_prompts(config, questions)), processing_class=tokenizer,
        reward_funcs=[reward],
    )  # fmt: skip
    if config.plateau is not None:
        trainer.add_callback(_stop_at_plateau(config.plateau.window, config.plateau.least_gain, inputs))
    return attach(trainer, inputs)


def _prompts(config: "Config", questions: Mapping[str, Question]) -> list[dict[str, Any]]:
    """What every step asks, one step after the other."""
    by_category: dict[str, list[str]] = {}
    for each in questions.values():
        by_category.setdefault(each.category, []).append(each.question_id)
    asked = curriculum.order(by_category, config.mix, config.prompts_per_step, config.steps, config.seed)
    prompts = {each: conversation(questions[each].messages, config.system_prompt, config.suffix) for each in set(asked)}
    return [{"question_id": each, "prompt": prompts[each]} for each in asked]


def _stop_at_plateau(window: int, least_gain: float, inputs: "Inputs") -> Any:
    from transformers import TrainerCallback

    class Plateau(TrainerCallback):  # type: ignore[misc]
        """Ends the stage once the reward has stopped rising. The trainer's own history survives a restart."""

        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """Whenever the trainer logs: every step."""
            rewards = [entry["reward"] for entry in state.log_history if "reward" in entry]
            if curriculum.plateaued(rewards, window, least_gain):
                control.should_training_stop = True
                inputs.log({"train/plateau_step": state.global_step}, state.global_step)

    return Plateau()
