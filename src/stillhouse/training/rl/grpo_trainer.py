"""TRL's GRPOTrainer from the config of the rl stage."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig

from stillhouse.execution.contract import StageInputs
from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training import checkpoints, optimizer_choice
from stillhouse.training.data.batches import passes
from stillhouse.training.lora import peft_config
from stillhouse.training.machine import dry_step, fsdp
from stillhouse.training.progress import attach, machine_arguments
from stillhouse.training.rl import rollout_engine, rollouts_ahead
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.rl.environments.episodes import rollout_function
from stillhouse.training.rl.logprob_check import LogprobCheck, pairs
from stillhouse.training.rl.on_policy import OnPolicyGrpoTrainer
from stillhouse.training.rl.question_choice import QuestionChooser
from stillhouse.training.rl.resampling import Asking
from stillhouse.training.rl.reward_watch import StopAtPlateau, StopWithoutLearning, WarnOfConstantReward
from stillhouse.training.rl.rewards import Rewards
from stillhouse.training.rl.rollout_prompts import RolloutPrompt


def make_trainer(
    config: RlConfig,
    inputs: StageInputs,
    model: PreTrainedModel,
    chat: ChatFormat,
    prompts: Mapping[str, RolloutPrompt],
    question_ids: Sequence[str],
    rewards: Rewards,
    chooser: QuestionChooser | None = None,
) -> OnPolicyGrpoTrainer:
    """A trainer whose batches of rollouts serve ``steps_per_batch`` steps, a share each, and are then thrown away.

    ``question_ids``: those of every step, one step after the other, unless a ``chooser`` says what is asked.
    ``STILLHOUSE_MICRO_BATCH`` bounds the rollouts in one forward pass; gradients add up to the whole batch.
    """
    rows = {key: {"question_id": key, "prompt": prompt.messages} for key, prompt in prompts.items()}
    dataset = Dataset.from_list([rows[key] for key in question_ids])
    attempts = config.dynamic_sampling.attempts if config.dynamic_sampling else 0
    asking = Asking(chooser, rows, rewards.outcomes, attempts) if chooser else None
    check = LogprobCheck(pairs(prompts, chat.tokenizer))
    longest = max(len(prompt.ids) for prompt in prompts.values()) + config.max_tokens
    arguments = _arguments(config, inputs, longest, chat_templates.stop_ids(chat, model.generation_config))
    with rollout_engine.vllm_for_this_machine(config.engine):
        trainer = OnPolicyGrpoTrainer(
            settings=config, asking=asking, logprob_check=check, model=model, args=arguments, train_dataset=dataset,
            processing_class=_without_parser(chat.tokenizer),
            reward_funcs=[rewards], peft_config=peft_config(config.lora) if config.lora else None,
            rollout_func=rollout_function(config, chat, prompts),
        )  # fmt: skip
    rollout_engine.finish(trainer, config.seed)
    rollouts_ahead.attach(trainer, config, [prompts[key].ids for key in question_ids])
    optimizer_choice.install(trainer, config)
    trainer.add_callback(WarnOfConstantReward(inputs))
    trainer.add_callback(StopWithoutLearning(config.max_tokens, chat.end_token))
    if config.plateau is not None:
        trainer.add_callback(StopAtPlateau(config.plateau, inputs))
    attach(trainer, inputs)
    dry_step.choose(trainer, longest)
    return trainer


def _without_parser(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A copy that has no parser for responses: TRL would run it on every rollout, and rewards read the tokens themselves."""
    bare = copy.copy(tokenizer)
    for name in ("response_template", "response_schema"):
        if getattr(bare, name, None) is not None:
            setattr(bare, name, None)
    return bare


def _arguments(config: RlConfig, inputs: StageInputs, longest: int, stops: Sequence[int]) -> GRPOConfig:
    """``longest``: tokens of the longest prompt with its rollout. ``stops``: the tokens that end a rollout."""
    micro_batch, accumulation = passes(config.prompts_per_step, "prompts_per_step", config.group_size)
    reference = fsdp.loading_arguments() if config.kl_coefficient else {}
    arguments = GRPOConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="constant", max_steps=config.steps,
        per_device_train_batch_size=micro_batch, gradient_accumulation_steps=accumulation,
        steps_per_generation=accumulation * config.steps_per_batch,
        num_iterations=1, num_generations=config.group_size, max_completion_length=config.max_tokens,
        temperature=config.temperature, top_p=1.0, top_k=0, beta=config.kl_coefficient,
        model_init_kwargs=reference or None,  # of the KL term's model; the policy is loaded already
        mask_truncated_completions=config.mask_truncated, shuffle_dataset=False, logging_steps=1, seed=config.seed,
        **rollout_engine.arguments(config.engine, longest, stops), **_engine_correction(config),
        **optimizer_choice.arguments(config), **checkpoints.arguments(inputs), **machine_arguments(),
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # torch.nn.DataParallel would multiply the batch by the GPUs in sight
    return arguments


def _engine_correction(config: RlConfig) -> dict[str, Any]:
    """Trainer arguments about the weights that make up for vLLM's other rounding."""
    if config.engine != "vllm" or config.engine_correction == "none":
        return {"vllm_importance_sampling_correction": False}
    return {
        "vllm_importance_sampling_correction": True, "vllm_importance_sampling_mode": config.engine_correction,
        "vllm_importance_sampling_clip_min": None, "vllm_importance_sampling_clip_max": config.engine_correction_clip,
    }  # fmt: skip
