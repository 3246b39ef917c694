"""Flex attention against plain matrix products by length, dtype and head size. Without a GPU torch gives it no backward pass:
gradients are those of the padding around it, with torch's own formula inside; tests/gpu has the kernel's."""

import os
import shutil

import pytest
import torch
from torch.nn.attention.flex_attention import create_mask
from transformers import LlamaConfig, LlamaForCausalLM, set_seed
from transformers.integrations import flex_attention as flex_of_transformers

from stillhouse.training.machine import flex

LENGTHS = (1, 2, 27, 83, 127, 128, 129, 512)
LONGEST = 4096
BOUND = {torch.float32: 1e-4, torch.bfloat16: 0.1}


def llama(head, heads=2, key_heads=1):
    set_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=head * heads, intermediate_size=32, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=key_heads, head_dim=head, max_position_embeddings=LONGEST,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def dense(query, key, value, *, block_mask, scale, enable_gqa, training, **_):
    """What flex attention is defined as, by sdpa with the mask written out."""
    mask = create_mask(block_mask.mask_mod, block_mask.shape[0], 1, query.shape[2], key.shape[2], device=query.device)
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, scale=scale, enable_gqa=enable_gqa)


@pytest.fixture
def by_formula(monkeypatch):
    flex.install()
    monkeypatch.setattr(flex_of_transformers, "compile_friendly_flex_attention", dense)
    with torch.compiler.set_stance("force_eager"):
        yield


def logits(model, backend, lengths, dtype):
    """Of documents in one pack, shape (tokens, vocabulary)."""
    model.set_attn_implementation(backend)
    ids = torch.randint(1, 64, (1, sum(lengths)), generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        return model(input_ids=ids, position_ids=positions, use_cache=False).logits[0].float()


def distance(one, other):
    return float((one - other).abs().max() / other.std())


@pytest.mark.parametrize("head", [16, 64, 96])
@pytest.mark.parametrize("dtype", BOUND, ids=["fp32", "bf16"])
@pytest.mark.parametrize("length", LENGTHS)
def test_flex_document_of_any_length_has_the_logits_and_gradients_of_eager_attention(by_formula, length, dtype, head):
    model, gradients = llama(head), {}
    for backend in ("eager", "flex_attention"):
        model.zero_grad()
        result = logits(model, backend, [length], dtype)
        result.square().mean().backward()
        gradients[backend] = result.detach(), torch.cat([weight.grad.flatten() for weight in model.parameters()])
    assert distance(gradients["flex_attention"][0], gradients["eager"][0]) < BOUND[dtype]
    difference = (gradients["flex_attention"][1] - gradients["eager"][1]).norm() / gradients["eager"][1].norm()
    assert difference < BOUND[dtype]


@pytest.mark.parametrize("lengths", [(27, 28, 28), (1, 2, 127), (60, 200, 252), (128, 128)])
def test_flex_pack_has_the_logits_of_its_documents_alone(by_formula, lengths):
    model = llama(16)
    with torch.no_grad():
        together = logits(model, "flex_attention", lengths, torch.float32)
        expected = logits(model, "eager", lengths, torch.float32)
    assert distance(together, expected) < BOUND[torch.float32]


def test_flex_pack_of_4096_tokens_is_that_of_eager_attention(by_formula):
    model = llama(16)
    with torch.no_grad():
        together = logits(model, "flex_attention", (2500, 1596), torch.float32)
        expected = logits(model, "eager", (2500, 1596), torch.float32)
    assert distance(together, expected) < BOUND[torch.float32]


def test_flex_padded_batch_has_the_logits_of_eager_attention_where_it_is_not_padding(by_formula):
    model, ids = llama(16), torch.randint(1, 64, (2, 30), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, :9], mask[1, 20:] = 0, 0  # one row padded on the left, one on the right
    results = {}
    for backend in ("eager", "flex_attention"):
        model.set_attn_implementation(backend)
        with torch.no_grad():
            results[backend] = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[mask.bool()]
    assert distance(results["flex_attention"], results["eager"]) < BOUND[torch.float32]


def test_flex_kernel_never_sees_fewer_queries_than_a_block(monkeypatch):
    """Below 128 queries torch would take its decoding kernel on a GPU."""
    flex.install()
    shapes = []

    def recorded(query, key, value, **arguments):
        shapes.append((query.shape[2], key.shape[2], *arguments["block_mask"].shape[-2:]))
        return dense(query, key, value, **arguments)

    monkeypatch.setattr(flex_of_transformers, "compile_friendly_flex_attention", recorded)
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        for length in (1, 83, 128, 130):
            logits(llama(16), "flex_attention", [length], torch.float32)
    assert shapes[::2] == [(128,) * 4, (128,) * 4, (128,) * 4, (256,) * 4]  # two layers


@pytest.mark.timeout(300)
@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="no compiler: torch compiles flex attention for a CPU")
def test_flex_compiled_for_a_cpu_has_the_logits_of_eager_attention():
    flex.install()
    model = llama(16)
    with torch.no_grad():
        for lengths in ((27, 28, 28), (1,), (100, 60)):
            assert distance(*(logits(model, backend, lengths, torch.float32) for backend in ("flex_attention", "eager"))) < 1e-4
