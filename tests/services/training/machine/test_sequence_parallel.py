"""Two processes that share every sequence, over gloo: what they make is what one process makes."""

import pytest

from stillhouse.errors import BadConfig
from stillhouse.execution import tracking
from stillhouse.execution.execute import execute
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.data.batches import passes
from stillhouse.training.machine import sequence_parallel
from tests.services.training.machine import test_zero
from tests.services.training.machine.test_zero import CONFIG, TOLERANCE, far, left, plan, said, together, weights

house = test_zero.house
pytestmark = pytest.mark.timeout(600)
TWICE = CONFIG | {"epochs": 2}


@pytest.fixture(scope="module")
def alone(house):
    """The same training by one process: its plan, its losses and the norms of its gradients."""
    logged, made = {}, plan(house, "sp-alone", config=TWICE)
    with pytest.MonkeyPatch.context() as patch:

        def log(self, metrics, step=None):
            logged.setdefault(step, metrics)

        patch.setattr(tracking.Untracked, "log", log)
        execute(sft, sft.Config(**TWICE), made["inputs"], made["output"])
    return made, {step: metrics["train/loss"] for step, metrics in logged.items() if step}


@pytest.fixture(scope="module")
def trained(house):
    """One start for each: DeepSpeed divides attention once in a process."""
    plans = {
        "zero-2": plan(house, "sp-zero-2", config=TWICE, sharding="zero-2"),
        "zero-3": plan(house, "sp-zero-3", config=TWICE, sharding="zero-3"),
    }
    ended = plan(house, "sp-ended", config=TWICE, sharding="zero-2", end={"step": 2, "how": "preempted"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STILLHOUSE_SEQUENCE_PARALLEL", "2")
        patch.setenv("STILLHOUSE_MICRO_BATCH", "1")
        for made in plans.values():
            code, text = together([made])
            assert code == 0, text
        together([ended])
        found = left(ended)
        resumed = {**ended, "end": {"step": 0}}
        code, text = together([resumed])
        assert code == 0, text
    return plans | {"resumed": resumed, "left": found}


@pytest.mark.parametrize("name", ["zero-2", "zero-3"])
def test_shared_sequences_give_the_losses_and_weights_of_one_process(trained, alone, name):
    expected, losses = alone
    assert len(losses) == 4  # two steps an epoch: four examples, then two
    found = {int(step): loss for step, loss in said(trained[name])["loss"].items()}
    assert found == pytest.approx(losses, abs=TOLERANCE)
    assert far(weights(trained[name]), weights(expected)) < TOLERANCE


def test_shared_sequences_that_were_preempted_go_on_bit_for_bit(trained):
    [checkpoint], published = trained["left"]
    assert published is None
    assert checkpoint in {"checkpoint-2", "checkpoint-3"}
    assert said(trained["resumed"])["steps"] == list(range(int(checkpoint[-1]) + 1, 5))
    assert far(weights(trained["resumed"]), weights(trained["zero-2"])) == 0


@pytest.fixture
def shared(monkeypatch):
    """One of two processes that share sequences under ZeRO 2."""
    monkeypatch.setenv("STILLHOUSE_SEQUENCE_PARALLEL", "2")
    monkeypatch.setenv("STILLHOUSE_SHARDING", "zero-2")
    monkeypatch.setenv("WORLD_SIZE", "2")


def test_shared_sequences_take_as_many_passes_more(shared):
    assert passes(4) == (2, 2)


@pytest.mark.parametrize(
    ("variables", "packing", "said_of_it"),
    [
        ({"WORLD_SIZE": "3"}, False, "2: does not divide the training's 3 processes; start a multiple of 2"),
        ({"STILLHOUSE_SHARDING": ""}, False, "2: needs DeepSpeed; set STILLHOUSE_SHARDING to zero-1, zero-2 or zero-3"),
        ({}, True, "2: the borders of packed examples would be lost; set packing to false"),
        ({"STILLHOUSE_SEQUENCE_PARALLEL": "two"}, False, "two: not a whole number of at least 1"),
    ],
)
def test_shared_sequences_that_cannot_be_are_refused(shared, monkeypatch, variables, packing, said_of_it):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadConfig, match=f"STILLHOUSE_SEQUENCE_PARALLEL={said_of_it}"):
        sequence_parallel.require_support(packing=packing)


def test_shared_sequences_need_heads_and_a_backend_that_can_be_divided(shared, monkeypatch):
    tiny = FromScratch(kind="scratch", hidden_size=24, intermediate_size=8, layers=1, heads=3, vocabulary=300, context=16)
    monkeypatch.setenv("STILLHOUSE_SHARDING", "")
    model = models.load(tiny, None, ["1"], 0)[0]
    with pytest.raises(BadConfig, match="2: the model's 3 heads with 3 of keys cannot be divided by it; choose a divisor"):
        sequence_parallel.arguments(model, 16)
    model.set_attn_implementation("eager")
    with pytest.raises(BadConfig, match="2: not with the attention backend eager; set STILLHOUSE_ATTENTION to one of sdpa"):
        sequence_parallel.arguments(model, 16)


def test_shared_sequences_are_refused_by_rl(shared):
    with pytest.raises(BadConfig, match="STILLHOUSE_SEQUENCE_PARALLEL=2: rl writes its own sequences and cannot share them"):
        sequence_parallel.refuse("rl")
