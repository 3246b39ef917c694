"""Flex attention on this device against eager attention: logits and gradients by length, dtype and head size."""

from itertools import product
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from stillhouse.errors import EngineFailed
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.data.corpus import Corpus, assemble, write_part
from stillhouse.training.data.isolation import chosen, require_isolation
from stillhouse.training.data.tokens import TokenisedExample
from stillhouse.training.sft.sft_trainer import make_trainer
from tests.gpu.rows import Row, at_most

LENGTHS = ((1,), (2,), (27,), (83,), (127,), (128,), (129,), (512,), (27, 28, 28), (60, 200, 252), (4096,))
BOUND = {torch.float32: 1e-2, torch.bfloat16: 0.1}
"""Of the deviation; fp32 products are in TF32 on a GPU."""
LEAK = FromScratch(kind="scratch", hidden_size=64, intermediate_size=64, layers=2, heads=2, vocabulary=300, context=512)


def rows(*, tiny: bool) -> list[Row]:
    """The largest difference of logits and of gradients, for every dtype and head size, over all lengths."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lengths, heads = (LENGTHS[2:4], (64,)) if tiny else (LENGTHS, (64, 128))
    backward = device == "cuda"  # torch gives flex attention no backward pass on a CPU
    result = []
    for head, dtype in product(heads, BOUND):
        model = _model(head).to(device)
        differences = [_difference(model, each, dtype, device, backward=backward) for each in lengths]
        name = f"flex_attention, heads of {head}, {str(dtype).removeprefix('torch.')}"
        result.append(at_most("packing", f"{name}: logits, of their deviation", max(d[0] for d in differences), BOUND[dtype]))
        if backward:
            result.append(at_most("packing", f"{name}: gradients, relative", max(d[1] for d in differences), BOUND[dtype]))
    return result


def _model(head: int) -> LlamaForCausalLM:
    set_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=384, hidden_size=4 * head, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096,
    ))  # fmt: skip


def _difference(
    model: LlamaForCausalLM, lengths: tuple[int, ...], dtype: torch.dtype, device: str, *, backward: bool
) -> tuple[float, float]:
    """Of one pack: the largest difference of a logit, and the relative one of all gradients, from eager attention."""
    ids = torch.randint(5, 380, (1, sum(lengths)), generator=torch.Generator().manual_seed(0)).to(device)
    places = torch.cat([torch.arange(length) for length in lengths])[None].to(device)
    logits, gradients = {}, {}
    for backend in ("eager", "flex_attention"):
        model.set_attn_implementation(backend)
        model.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=dtype is torch.bfloat16), torch.set_grad_enabled(backward):
            result = model(input_ids=ids, position_ids=places, use_cache=False).logits[0].float()
        if backward:
            result.square().mean().backward()
            gradients[backend] = torch.cat([weight.grad.flatten() for weight in model.parameters()])
        logits[backend] = result.detach()
    largest = float((logits["flex_attention"] - logits["eager"]).abs().max() / logits["eager"].std())
    if not backward:
        return largest, 0.0
    return largest, float((gradients["flex_attention"] - gradients["eager"]).norm() / gradients["eager"].norm())


def leak_is_refused(work: Path) -> bool:
    """Whether a run whose batches say that every token is visible is stopped."""
    model, tokenizer = models.load(LEAK, None, ["What is 1 + 1?"], 0)
    directory = work / "leak"
    directory.mkdir()
    assemble(directory, [write_part(directory, 0, [TokenisedExample(list(range(20)), [(0, 20)])] * 6)])
    corpus = Corpus(directory)
    config = sft.Config(init=LEAK, max_steps=1, batch_size=2, max_length=200, packing=True)
    trainer = make_trainer(config, sft.Inputs(scratch=directory), model, tokenizer, corpus)
    trainer.model.set_attn_implementation("sdpa")
    collate = trainer.data_collator
    trainer.data_collator = lambda examples: (batch := collate(examples)) | {"attention_mask": torch.ones_like(batch["input_ids"])}
    try:
        require_isolation(trainer, chosen(corpus)[0])
    except EngineFailed as error:
        return "see each other" in str(error)
    return False
