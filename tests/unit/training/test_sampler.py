import sys

import pytest

from stillhouse import ranks
from stillhouse.errors import BadConfig, EngineFailed, RankLost
from stillhouse.training import sampler


@pytest.fixture
def installed(monkeypatch):
    from tests.unit.training import fake_vllm

    return fake_vllm.install(monkeypatch)


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU, for all that the sampler looks at."""
    monkeypatch.setattr(sampler, "hardware", dict)


def test_arguments_transformers_need_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert sampler.arguments("transformers", 100) == {}


def test_arguments_vllm_shares_the_trainers_gpus_as_the_environment_says(installed, monkeypatch):
    assert sampler.arguments("vllm", 100) == {
        "use_vllm": True, "vllm_mode": "colocate", "vllm_tensor_parallel_size": 1, "vllm_max_model_length": 100,
        "vllm_gpu_memory_utilization": 0.3, "vllm_importance_sampling_mode": "token_truncate",
    }  # fmt: skip
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_MEMORY", "0.5")
    monkeypatch.setenv("STILLHOUSE_TENSOR_PARALLEL", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    made = sampler.arguments("vllm", 100)
    assert (made["vllm_gpu_memory_utilization"], made["vllm_tensor_parallel_size"]) == (0.5, 2)


def test_arguments_replicas_that_do_not_divide_the_processes_are_refused(installed, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_TENSOR_PARALLEL", "2")
    with pytest.raises(BadConfig, match="STILLHOUSE_TENSOR_PARALLEL=2: does not divide the training's 1 processes"):
        sampler.arguments("vllm", 100)


def test_arguments_server_is_given_by_its_address(installed, gpu, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SERVER", "http://vllm:8000/")
    made = sampler.arguments("vllm", 100)
    assert made == {
        "use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": "http://vllm:8000", "vllm_group_port": 51216,
        "vllm_importance_sampling_mode": "token_truncate",
    }  # fmt: skip


def test_arguments_server_without_a_gpu_here_is_refused(installed, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SERVER", "http://vllm:8000")
    with pytest.raises(EngineFailed, match="weights reach a server by NCCL, and there is no GPU here"):
        sampler.arguments("vllm", 100)


def test_arguments_vllm_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EngineFailed, match="vllm is not installed here; .* --set engine=transformers"):
        sampler.arguments("vllm", 100)


def test_made_for_vllm_that_does_not_come_up_is_one_line(installed):
    from trl.generation import vllm_generation

    with pytest.raises(EngineFailed, match="it did not come up: no memory left") as caught, sampler.made_for("vllm"):
        raise RuntimeError("no memory\nleft")
    assert "\n" not in str(caught.value)
    assert vllm_generation.LLM is installed


def test_made_for_vllm_that_another_rank_took_down_can_be_tried_again(installed, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(ranks.signal, "signal", lambda *_: None)
    with pytest.raises(RankLost, match="the other ranks are gone"), sampler.made_for("vllm"):
        raise RuntimeError("gloo: connection closed by peer")
