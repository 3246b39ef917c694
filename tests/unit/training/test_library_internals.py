"""The private members that ``stillhouse.training`` uses, each with the version it was read in."""

import inspect
import re

import pytest
import torch
import transformers
import trl
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from trl import GRPOTrainer, SFTTrainer
from trl.generation import vllm_generation

from stillhouse.training import optimizer
from stillhouse.training.rl.on_policy import OnPolicyGrpoTrainer
from stillhouse.training.sft.sft_trainer import CorpusSftTrainer

READ = {transformers: {"5.19.0", "5.17.0"}, trl: {"1.16.0"}}
"""The second of transformers is that of the image with vLLM."""


def source(thing) -> str:
    return inspect.getsource(thing)


@pytest.mark.parametrize("library", READ, ids=lambda library: library.__name__)
def test_internals_were_read_in_the_installed_version(library):
    assert library.__version__ in READ[library], (
        "read the members of stillhouse.training.__doc__ again, then raise the version here"
    )


@pytest.mark.parametrize(
    ("owner", "name", "caller"),
    [
        (Trainer, "_get_dataloader", Trainer.get_train_dataloader),
        (Trainer, "_get_train_sampler", Trainer.get_train_dataloader),
        (Trainer, "_prepare_inputs", Trainer.training_step),
        (GRPOTrainer, "_generate_single_turn", GRPOTrainer._generate),
        (GRPOTrainer, "_calculate_rewards", GRPOTrainer._generate_and_score_completions),
        (GRPOTrainer, "_generate_and_score_completions", GRPOTrainer._prepare_inputs),
        (GRPOTrainer, "_compute_loss", GRPOTrainer.compute_loss),
        (GRPOTrainer, "_prepare_inputs", Trainer.training_step),
        (GRPOTrainer, "_tokenize_prompts", GRPOTrainer._generate),
        (GRPOTrainer, "_get_per_token_logps_and_entropies", GRPOTrainer._compute_loss),
        (Trainer, "get_batch_samples", Trainer._run_epoch),
        (vllm_generation.VLLMGeneration, "_iter_named_params", vllm_generation.VLLMGeneration.sync_weights),
    ],
)
def test_overridden_method_is_called_by_its_library(owner, name, caller):
    assert callable(getattr(owner, name))
    assert re.search(rf"self\.{name}\b", source(caller))


def test_overridden_methods_of_grpo_take_the_arguments_that_are_passed_on():
    assert list(inspect.signature(GRPOTrainer._calculate_rewards).parameters)[:2] == ["self", "inputs"]
    assert list(inspect.signature(GRPOTrainer._generate_and_score_completions).parameters) == ["self", "inputs"]


def test_attributes_of_grpo_are_those_it_reads():
    assert "self._last_loaded_step = -1" in source(GRPOTrainer.__init__)
    assert "self.state.global_step != self._last_loaded_step" in source(GRPOTrainer._generate_single_turn)
    assert "self._metrics = {" in source(GRPOTrainer.__init__)
    assert "self._buffered_inputs[self._step % self.args.steps_per_generation]" in source(GRPOTrainer._prepare_inputs)
    assert "router_aux_loss_coef * aux_loss / normalizer" in source(GRPOTrainer._compute_loss)


def test_rollout_function_of_grpo_may_say_which_tokens_are_the_models_own():
    generate, scored = source(GRPOTrainer._generate), source(GRPOTrainer._generate_and_score_completions)
    assert "output = self.rollout_func(prompts, self)" in generate
    assert 'tool_mask = extra_fields.pop("env_mask", None)' in generate
    assert "loss_mask = completion_mask if tool_mask is None else completion_mask * tool_mask" in scored
    assert 'completion_mask * inputs["tool_mask"]' in source(GRPOTrainer._compute_loss)
    assert "inp[key] = values[i]" in scored, "extra fields reach the reward"


def test_count_of_tokens_is_sfts_own():
    assert "self._total_train_tokens += " in source(SFTTrainer)


def test_names_of_vllm_generation_are_what_it_starts_vllm_by():
    text = source(vllm_generation.VLLMGeneration)
    assert re.search(r"= LLM\(", text)
    assert re.search(r"= VLLMClient\(", text)


def test_trainers_keep_the_order_of_their_mixins():
    """Padding is counted before the loss is checked, as the step's batch comes in."""
    names = [kind.__name__ for kind in CorpusSftTrainer.__mro__]
    assert names.index("MeasuredMixin") < names.index("FiniteLossMixin") < names.index("WholeBatchesMixin")
    assert names.index("WholeBatchesMixin") < names.index("SFTTrainer") < names.index("Trainer")
    assert issubclass(OnPolicyGrpoTrainer, GRPOTrainer)
    assert issubclass(CorpusSftTrainer, SFTTrainer)


def test_scores_of_grpo_take_the_arguments_that_are_passed_on():
    names = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert names[:8] == [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy", "compute_aux_loss",
    ]  # fmt: skip


def test_loss_of_shared_sequences_stands_in_place_of_transformers_own():
    names = [kind.__name__ for kind in CorpusSftTrainer.__mro__]
    assert names.index("SFTTrainer") < names.index("SharedSequencesMixin") < names.index("Trainer")
    assert '{**inputs, "fused_lm_head": True}' in source(SFTTrainer.compute_loss)


def test_arguments_and_model_config_have_what_is_set_and_read(tmp_path):
    arguments = TrainingArguments(str(tmp_path), use_cpu=True)
    arguments._n_gpu = min(arguments.n_gpu, 1)
    assert arguments.n_gpu == arguments._n_gpu
    config = LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8)
    assert LlamaForCausalLM(config).config._attn_implementation == "sdpa"


def test_deepspeed_has_the_members_that_carry_the_optimizer():
    deepspeed = pytest.importorskip("deepspeed", reason="no deepspeed in this environment")
    assert deepspeed.__version__.startswith("0.19.8")
    from deepspeed.runtime import bf16_optimizer
    from deepspeed.runtime.zero import partition_parameters, stage3, stage_1_and_2
    from deepspeed.utils import mixed_precision_linkage

    for name, module in zip(optimizer.FLAT, (stage3, stage_1_and_2, bf16_optimizer), strict=True):
        assert f"self.{name}" in source(module)
    assert "self.grad_position" in source(stage3)
    assert "def get_param_id" in source(stage3)
    assert "_hp_mapping" in source(mixed_precision_linkage)
    assert {"ds_shape", "ds_numel"} <= set(re.findall(r"param\.(ds_\w+)", source(partition_parameters)))
    assert "deepspeed_shm_comm" in deepspeed.ops.__compatible_ops__


def test_tensors_of_adamw_have_the_names_that_are_written():
    parameter = torch.nn.Parameter(torch.ones(2))
    adam = torch.optim.AdamW([parameter])
    parameter.grad = torch.ones(2)
    adam.step()
    assert set(adam.state[parameter]) == {optimizer.STEP, *optimizer.MOMENTS}
