import copy

import pytest
import torch

from stillhouse.training import models
from stillhouse.training.config import FromScratch, Muon
from stillhouse.training.muon import MuonWithAdamW, hidden_matrices

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=64)
SETTINGS = Muon(kind="muon", momentum=0.9, newton_schulz_steps=4, beta1=0.8, epsilon=1e-6)
RATE, DECAY = 1e-2, 0.1


@pytest.fixture
def model():
    return models.load(TINY, None, ["What is 1 + 1?"], 0)[0]


def decayed(model):
    return {name for name, parameter in model.named_parameters() if parameter.ndim == 2}


def step(model, optimizer, seed):
    """One step on the loss of a seeded batch."""
    ids = torch.randint(0, 200, (2, 12), generator=torch.Generator().manual_seed(seed))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def test_hidden_matrices_are_all_but_embeddings_head_and_norms(model):
    names = {name.rsplit(".", 2)[-2] for name, _ in hidden_matrices(model)}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_muon_with_adamw_steps_as_torchs_two_optimizers_do(model):
    other = copy.deepcopy(model)
    ours = MuonWithAdamW(model, SETTINGS, RATE, DECAY, decayed(model))
    matrices = dict(hidden_matrices(other))
    rest = {name: parameter for name, parameter in other.named_parameters() if name not in matrices}
    muon = torch.optim.Muon(
        matrices.values(), lr=RATE, weight_decay=DECAY, momentum=0.9, nesterov=True, ns_steps=4, adjust_lr_fn="match_rms_adamw"
    )
    shrunk = [parameter for name, parameter in rest.items() if name in decayed(other)]
    kept = [parameter for name, parameter in rest.items() if name not in decayed(other)]
    adamw = torch.optim.AdamW(
        [{"params": shrunk, "weight_decay": DECAY}, {"params": kept, "weight_decay": 0.0}], lr=RATE, betas=(0.8, 0.999), eps=1e-6
    )
    for seed in range(3):
        step(model, ours, seed)
        ids = torch.randint(0, 200, (2, 12), generator=torch.Generator().manual_seed(seed))
        other(input_ids=ids, labels=ids).loss.backward()
        for optimizer in (muon, adamw):
            optimizer.step()
            optimizer.zero_grad()
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), other.parameters(), strict=True))


def test_muon_with_adamw_follows_the_schedule_of_its_groups(model):
    optimizer = MuonWithAdamW(model, SETTINGS, RATE, DECAY, decayed(model))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    step(model, optimizer, 0)
    assert all(torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True))


def test_muon_with_adamw_goes_on_from_its_state_to_the_same_weights(model):
    resumed = copy.deepcopy(model)
    whole = MuonWithAdamW(model, SETTINGS, RATE, DECAY, decayed(model))
    for seed in range(4):
        step(model, whole, seed)
    first = MuonWithAdamW(resumed, SETTINGS, RATE, DECAY, decayed(resumed))
    for seed in range(2):
        step(resumed, first, seed)
    second = MuonWithAdamW(resumed, SETTINGS, RATE, DECAY, decayed(resumed))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for seed in range(2, 4):
        step(resumed, second, seed)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), resumed.parameters(), strict=True))
