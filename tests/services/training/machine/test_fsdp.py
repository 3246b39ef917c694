"""Two processes that meet over gloo and share the model by FSDP2: what they make is what one process makes."""

import pytest

from stillhouse.errors import BadConfig
from stillhouse.training import checkpoints, lora
from stillhouse.training.config import Adapters
from stillhouse.training.machine import fsdp, zero
from tests.services.training.machine import test_zero
from tests.services.training.machine.test_zero import PACKED, RL, TOLERANCE, far, left, local, plan, said, together, weights

alone, house = test_zero.alone, test_zero.house
pytestmark = pytest.mark.timeout(600)
ROLLOUTS = RL | {"steps": 3}


def shared(house, name, **more):
    return plan(house, f"fsdp-{name}", sharding="fsdp2", **more)


@pytest.fixture(scope="module")
def trained(house):
    """One start of two processes that train each way; sft is preempted in its own start, and rl killed in the last."""
    plans = {
        "sft": shared(house, "sft"),
        "offload": shared(house, "offload") | {"sharding": "fsdp2-offload"},
        "packed": shared(house, "packed", config=PACKED),
        "unshared": plan(house, "fsdp-unshared", "rl", ROLLOUTS),
        "rl": shared(house, "rl", stage="rl", config=ROLLOUTS),
        "killed": shared(house, "killed", stage="rl", config=ROLLOUTS, end={"step": 3, "how": "killed"}),
    }
    _, text = together(list(plans.values()))
    assert "Signal 9 (SIGKILL) received" in text, text
    preempted = shared(house, "preempted", end={"step": 4, "how": "preempted"})
    together([preempted])
    ended = {"preempted": preempted, "killed": plans["killed"]}
    found = {how: left(each) for how, each in ended.items()}
    shares = {path.name for each in ended.values() for path in local(each["output"]).rglob("*.distcp*")}
    resumed = {how: {**each, "end": {"step": 0}} for how, each in ended.items()}
    code, text = together(list(resumed.values()))
    assert code == 0, text
    return plans | resumed | {"left": found, "shares": shares}


@pytest.mark.parametrize("name", ["sft", "offload"])
def test_fsdp_two_processes_give_the_losses_and_weights_of_one(trained, alone, name):
    expected, losses = alone
    found = {int(step): loss for step, loss in said(trained[name])["loss"].items()}
    assert found == pytest.approx(losses, abs=TOLERANCE)
    assert far(weights(trained[name]), weights(expected)) < TOLERANCE


def test_fsdp_each_process_writes_its_own_share_of_a_checkpoint(trained):
    assert {name[:4] for name in trained["shares"]} == {"__0_", "__1_"}


def test_fsdp_packed_documents_are_isolated(house, trained):
    made = plan(house, "fsdp-packed-unshared", config=PACKED)
    code, text = together([made])
    assert code == 0, text
    assert far(weights(trained["packed"]), weights(made)) < TOLERANCE


def test_fsdp_rl_gives_the_rewards_and_weights_of_processes_that_hold_the_model(trained):
    for logged in ("loss", "reward"):
        assert said(trained["rl"])[logged] == pytest.approx(said(trained["unshared"])[logged], abs=TOLERANCE)
    assert max(said(trained["rl"])["reward"].values()) > 0
    assert far(weights(trained["rl"]), weights(trained["unshared"])) < TOLERANCE


@pytest.mark.parametrize(("how", "whole", "last"), [("preempted", "sft", 6), ("killed", "rl", 3)])
def test_fsdp_that_was_ended_goes_on_bit_for_bit(trained, how, whole, last):
    [checkpoint], published = trained["left"][how]
    assert published is None
    assert said(trained[how])["steps"] == list(range(int(checkpoint[-1]) + 1, last + 1))
    assert said(trained[how])["loss"][str(last)] == said(trained[whole])["loss"][str(last)]
    assert far(weights(trained[how]), weights(trained[whole])) == 0


def test_fsdp_of_one_process_is_refused_and_a_mistyped_name_is_corrected(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SHARDING", "fsdp2")
    with pytest.raises(BadConfig, match="STILLHOUSE_SHARDING=fsdp2: one process has nothing to share; start several, or choose"):
        zero.settings()
    monkeypatch.setenv("STILLHOUSE_SHARDING", "fsdp")
    with pytest.raises(BadConfig, match="STILLHOUSE_SHARDING=fsdp: .*; did you mean fsdp2?"):
        zero.settings()


@pytest.fixture
def two(monkeypatch):
    """One of two processes that share a model."""
    monkeypatch.setenv("STILLHOUSE_SHARDING", "fsdp2")
    monkeypatch.setenv("WORLD_SIZE", "2")


def test_fsdp_writes_shares_and_computes_activations_twice_by_its_own_means(two, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_GRADIENT_CHECKPOINTING", "on")
    made = fsdp.arguments()
    assert (made["gradient_checkpointing"], made["fsdp_config"]["activation_checkpointing"]) == (False, True)
    assert made["fsdp_config"]["state_dict_type"] == "SHARDED_STATE_DICT"
    assert not made["fsdp_config"]["cpu_offload"]


def test_fsdp_refuses_adapters_and_a_checkpoint_that_zero_has_cut(two, tmp_path):
    with pytest.raises(BadConfig, match="lora: not with STILLHOUSE_SHARDING=fsdp2; choose zero-2"):
        lora.require_support(Adapters())
    with pytest.raises(BadConfig, match="made by ZeRO 3 over 2 processes, this one has FSDP2 over 2 processes"):
        checkpoints._require_same_partition(tmp_path / "checkpoint-1", {"zero": 3, "processes": 2})
