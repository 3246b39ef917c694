"""Models, training examples and TRL's trainers, put together from a recipe.

``data``: examples as tokens. ``sft``: fine-tuning. ``rl``: reinforcement learning, with the algorithm in its docstring.
``machine``: what the environment decides and no result depends on.

Some of this rests on private members of libraries. pyproject.toml pins the versions, and
``tests/unit/training/test_library_internals.py`` checks that the members still exist:

- transformers: ``Trainer._get_dataloader``, ``Trainer._get_train_sampler``, ``Trainer._prepare_inputs``,
  ``TrainingArguments._n_gpu``, a model config's ``_attn_implementation``
- TRL: ``GRPOTrainer._generate_single_turn``, ``_calculate_rewards``, ``_generate_and_score_completions``, ``_compute_loss``,
  ``_load_optimizer_and_scheduler``, ``_save_checkpoint``, ``_prepare_inputs``, ``_get_per_token_logps_and_entropies``,
  ``_tokenize_prompts``, ``_buffered_inputs``, ``_step``, ``_metrics``, ``_last_loaded_step``, ``rollout_func`` with ``env_mask``;
  ``SFTTrainer._total_train_tokens``; ``LLM`` and ``VLLMClient`` in ``trl.generation.vllm_generation``,
  ``VLLMGeneration._iter_named_params``
- DeepSpeed: ``ops.__compatible_ops__``, a parameter's ``_hp_mapping``, ``ds_shape`` and ``ds_numel``, and the flat tensors of its
  optimizers
"""
