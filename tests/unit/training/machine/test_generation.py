import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from stillhouse.models.loadable import ROUTER_LOGITS
from stillhouse.training import models
from stillhouse.training.machine import generation
from tests.architectures import save, tokenizer_of


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    """A mixture of experts in training: TRL has it return its router's logits."""
    model = AutoModelForCausalLM.from_pretrained(save("gpt-oss", tmp_path_factory.mktemp("moe")))
    setattr(model.config, ROUTER_LOGITS, True)
    return model


def test_mixture_of_experts_in_training_generates_for_prompts_of_different_lengths(experts):
    ids, mask = torch.tensor([[0, 5, 6], [5, 6, 7]]), torch.tensor([[0, 1, 1], [1, 1, 1]])
    settings = GenerationConfig(max_new_tokens=4, min_new_tokens=4, do_sample=False, pad_token_id=0)
    with generation.suited(experts), torch.no_grad():
        written = experts.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
    assert written.shape == (2, 7)
    assert experts.config.output_router_logits, "its training goes on with them"


def test_settings_of_the_training_are_not_published(experts, tmp_path):
    experts.config.use_cache = False
    models.save(experts, tokenizer_of("gpt-oss"), tmp_path / "published")
    published = AutoModelForCausalLM.from_pretrained(tmp_path / "published").config
    assert (published.output_router_logits, published.use_cache) == (False, True)
    assert (experts.config.output_router_logits, experts.config.use_cache) == (True, False)
