from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from trl.trainer.utils import add_fused_lm_head

from stillhouse.errors import EngineFailed
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.rl.unpadded_update import UnpaddedUpdateMixin

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=2, heads=2, vocabulary=300, context=64)
PROMPT, ROLLOUT = 7, 9
"""Columns of the prompts, padded on the left, and of the rollouts, padded on the right."""


@pytest.fixture
def trainer(tmp_path):
    model = models.load(TINY, None, ["What is 1 + 1?"], 0)[0]
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    made = UnpaddedUpdateMixin.__new__(UnpaddedUpdateMixin)
    made.model, made.accelerator, made.args = model, Accelerator(cpu=True), SimpleNamespace(bf16=False, report_to=[])
    return made


def batch():
    """Rows of unequal prompts and rollouts; the third rollout is left out of the loss."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 200, (4, PROMPT + ROLLOUT), generator=generator)
    mask = torch.zeros_like(ids)
    for row, (prompt, rollout) in enumerate([(7, 3), (2, 9), (5, 0), (1, 1)]):
        mask[row, PROMPT - prompt : PROMPT + rollout] = 1
    return ids * mask, mask


def scored(trainer, monkeypatch, packed, batch_size=None):
    """Log-probabilities, entropies, and the gradient of a loss of both."""
    monkeypatch.setenv("STILLHOUSE_PACK_ROLLOUTS", packed)
    ids, mask = batch()
    weights = torch.rand(4, ROLLOUT, generator=torch.Generator().manual_seed(1)) * mask[:, PROMPT:]
    logprobs, entropies, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, mask, ROLLOUT, batch_size, compute_entropy=True
    )
    trainer.model.zero_grad()
    ((logprobs - 0.1 * entropies) * weights).sum().backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in trainer.model.parameters()])
    scored_here = mask[:, PROMPT:].bool()
    return logprobs.detach()[scored_here], entropies.detach()[scored_here], gradient


@pytest.mark.parametrize("batch_size", [None, 3, 1])
def test_packed_rollouts_have_the_scores_and_the_gradient_of_padded_ones(trainer, monkeypatch, batch_size):
    *padded, expected = scored(trainer, monkeypatch, "off")
    *packed, gradient = scored(trainer, monkeypatch, "on", batch_size)
    for one, other in zip(packed, padded, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert float((gradient - expected).norm() / expected.norm()) < 1e-6


def test_packed_rollouts_are_read_without_padding(trainer, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PACK_ROLLOUTS", "on")
    read = []
    trainer.model.model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    ids, mask = batch()
    for _ in range(2):
        trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, ROLLOUT)
    assert read == [(1, int(mask.sum())), (4, PROMPT + ROLLOUT), (1, int(mask.sum()))], "compared with padding once"


def test_packed_rollouts_that_see_each_other_are_refused(trainer, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PACK_ROLLOUTS", "on")
    forward = trainer.model.forward

    def leaking(*args, position_ids=None, **kwargs):
        """Positions that go on over the border of a rollout: attention sees no border then."""
        going_on = None if position_ids is None else torch.arange(position_ids.shape[1])[None]
        return forward(*args, position_ids=going_on, **kwargs)

    monkeypatch.setattr(trainer.model, "forward", leaking)
    ids, mask = batch()
    with pytest.raises(EngineFailed, match="STILLHOUSE_PACK_ROLLOUTS=on: .* rollouts of one row see each other"):
        trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, ROLLOUT)
