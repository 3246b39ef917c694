"""What the trainers take from TRL's and transformers' defaults: a new default would change results under an equal fingerprint."""

import dataclasses

import pytest
from transformers import TrainingArguments
from trl import GRPOConfig, SFTConfig

UPDATE = {
    "optim": "adamw_torch_fused", "optim_args": None, "optim_target_modules": None, "adam_beta1": 0.9, "adam_beta2": 0.999,
    "adam_epsilon": 1e-8, "weight_decay": 0.0, "max_grad_norm": 1.0, "lr_scheduler_kwargs": None, "warmup_steps": 0,
    "label_smoothing_factor": 0.0, "neftune_noise_alpha": None, "average_tokens_across_devices": True, "data_seed": None,
    "router_aux_loss_coef": None, "model_init_kwargs": None, "train_sampling_strategy": "random", "full_determinism": False,
}  # fmt: skip
"""Of both trainers. What a config sets is here too: it may leave a field to its default."""
EXAMPLES = {
    "loss_type": "nll", "completion_only_loss": None, "assistant_only_loss": False, "packing": False, "shuffle_dataset": False,
    "pad_to_multiple_of": "auto", "truncation_mode": "keep_start", "activation_offloading": False,
}  # fmt: skip
ROLLOUTS = {
    "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0, "generation_kwargs": None, "cache_implementation": None,
    "disable_dropout": False, "cast_lm_head_to_fp32": False, "num_iterations": 1, "sync_ref_model": False,
    "reward_weights": None, "multi_objective_aggregation": "sum_then_normalize", "vllm_importance_sampling_clip_min": None,
    "vllm_structured_outputs_regex": None, "use_transformers_continuous_batching": False, "pad_to_multiple_of": "auto",
}  # fmt: skip
OF_TRLS_LOSS = {
    "epsilon", "delta", "epsilon_high", "sapo_temperature_neg", "sapo_temperature_pos", "vespo_k_pos", "vespo_lambda_pos",
    "vespo_k_neg", "vespo_lambda_neg", "importance_sampling_level", "scale_rewards", "loss_type", "top_entropy_quantile",
    "entropy_coef", "use_adaptive_entropy", "entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target",
    "off_policy_mask_threshold", "use_bias_correction_kl", "ref_model_mixup_alpha", "ref_model_sync_steps",
}  # fmt: skip
"""What only TRL's own loss reads, which ``PolicyLossMixin`` replaces."""
SET_OR_OF_THE_MACHINE = {
    "beta", "ds3_gather_for_generation", "generation_batch_size", "mask_truncated_completions", "max_completion_length",
    "max_tool_calling_iterations", "num_generations", "num_generations_eval", "shuffle_dataset", "steps_per_generation",
    "temperature", "transformers_continuous_batching_config", "trust_remote_code", "use_transformers_paged", "use_vllm",
    "chat_template_kwargs", "log_completions", "log_multimodal", "num_completions_to_print", "log_unique_prompts",
    "log_completions_hub_repo", "vllm_enable_sleep_mode", "vllm_gpu_memory_utilization", "vllm_group_port",
    "vllm_importance_sampling_cap", "vllm_importance_sampling_clip_max", "vllm_importance_sampling_correction",
    "vllm_importance_sampling_mode", "vllm_max_model_length", "vllm_mode", "vllm_model_impl", "vllm_server_base_url",
    "vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_tensor_parallel_size",
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "held"), [(SFTConfig, UPDATE | EXAMPLES), (GRPOConfig, UPDATE | ROLLOUTS)])
def test_default_that_a_training_relies_on_is_the_one_it_was_read_with(arguments, held):
    defaults = {field.name: field.default for field in dataclasses.fields(arguments)}
    assert {name: defaults[name] for name in held} == held


def test_setting_of_grpo_that_is_new_is_looked_at():
    common = {field.name for field in dataclasses.fields(TrainingArguments)}
    own = {field.name for field in dataclasses.fields(GRPOConfig)} - common
    assert own - set(UPDATE) == (set(ROLLOUTS) | OF_TRLS_LOSS | SET_OR_OF_THE_MACHINE)
