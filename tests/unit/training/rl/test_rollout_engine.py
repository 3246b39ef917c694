import sys

import pytest
from trl.generation import vllm_generation
from trl.generation.vllm_client import VLLMClient

from stillhouse.errors import BadConfig, EngineFailed, RankLost
from stillhouse.execution import processes
from stillhouse.training.rl import rollout_engine


@pytest.fixture
def installed(monkeypatch):
    from tests.unit.training import fake_vllm

    return fake_vllm.install(monkeypatch)


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU, for all that the rollout engine looks at."""
    monkeypatch.setattr(rollout_engine, "hardware", dict)


def test_arguments_transformers_need_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert rollout_engine.arguments("transformers", 100) == {}


def test_arguments_vllm_shares_the_trainers_gpus_as_the_environment_says(installed, monkeypatch):
    assert rollout_engine.arguments("vllm", 100, [7, 2]) == {
        "use_vllm": True, "vllm_mode": "colocate", "vllm_tensor_parallel_size": 1, "vllm_max_model_length": 100,
        "vllm_gpu_memory_utilization": 0.3, "vllm_enable_sleep_mode": False,
        "generation_kwargs": {"stop_token_ids": [7, 2]},
    }  # fmt: skip
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_MEMORY", "0.5")
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_TENSOR_PARALLEL", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    made = rollout_engine.arguments("vllm", 100)
    assert (made["vllm_gpu_memory_utilization"], made["vllm_tensor_parallel_size"]) == (0.5, 2)


def test_arguments_replicas_that_do_not_divide_the_processes_are_refused(installed, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_TENSOR_PARALLEL", "2")
    with pytest.raises(BadConfig, match="STILLHOUSE_ROLLOUT_TENSOR_PARALLEL=2: does not divide the training's 1 processes"):
        rollout_engine.arguments("vllm", 100)


def test_arguments_server_is_given_by_its_address(installed, gpu, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SERVER", "http://vllm:8000/")
    made = rollout_engine.arguments("vllm", 100, [7])
    assert made == {
        "use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": "http://vllm:8000", "vllm_group_port": 51216,
        "generation_kwargs": {"stop_token_ids": [7]},
    }  # fmt: skip


def test_arguments_several_servers_take_weights_through_a_directory(installed, gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SERVER", "http://one:8000/, http://two:8000")
    with pytest.raises(EngineFailed, match="http://one:8000,http://two:8000: weights reach several servers through a shared"):
        rollout_engine.arguments("vllm", 100)
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_WEIGHTS", str(tmp_path))
    assert rollout_engine.arguments("vllm", 100)["vllm_server_base_url"] == "http://one:8000,http://two:8000"


def test_arguments_vllm_sleeps_if_it_may_and_there_is_a_gpu(installed, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SLEEP", "on")
    with pytest.raises(BadConfig, match="STILLHOUSE_ROLLOUT_SLEEP=on: vLLM on a CPU has no memory of a GPU to give back"):
        rollout_engine.arguments("vllm", 100)
    monkeypatch.setattr(rollout_engine, "hardware", dict)
    assert rollout_engine.arguments("vllm", 100)["vllm_enable_sleep_mode"] is True


def test_arguments_server_without_a_gpu_here_needs_a_directory(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SERVER", "http://vllm:8000")
    with pytest.raises(EngineFailed, match="reach it through a shared directory; name it in STILLHOUSE_ROLLOUT_WEIGHTS"):
        rollout_engine.arguments("vllm", 100)
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(BadConfig, match="STILLHOUSE_ROLLOUT_WEIGHTS=.*/nowhere: no directory"):
        rollout_engine.arguments("vllm", 100)
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_WEIGHTS", str(tmp_path))
    assert rollout_engine.arguments("vllm", 100)["vllm_mode"] == "server"


def test_arguments_vllm_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EngineFailed, match="vllm is not installed here; .* --set engine=transformers"):
        rollout_engine.arguments("vllm", 100)


def broken(message):
    def fail(*_, **__):
        raise RuntimeError(message)

    return fail


def test_vllm_for_this_machine_vllm_that_does_not_come_up_is_one_line(installed, monkeypatch):
    monkeypatch.setattr(installed, "__init__", broken("no memory\nleft"))
    with (
        pytest.raises(EngineFailed, match="engine vllm: it did not come up: no memory left") as caught,
        rollout_engine.vllm_for_this_machine("vllm"),
    ):
        vllm_generation.LLM(model="toy")
    assert "\n" not in str(caught.value)
    assert vllm_generation.LLM is installed


def test_vllm_for_this_machine_what_is_not_vllms_keeps_its_own_words(installed):
    with pytest.raises(ValueError, match="not vllm's"), rollout_engine.vllm_for_this_machine("vllm"):
        raise ValueError("not vllm's")


def test_vllm_for_this_machine_vllm_that_another_rank_took_down_can_be_tried_again(installed, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes.signal, "signal", lambda *_: None)
    with pytest.raises(RankLost, match="the other ranks are gone"), rollout_engine.vllm_for_this_machine("vllm"):
        raise RuntimeError("gloo: connection closed by peer")
    monkeypatch.setattr(installed, "__init__", broken("gloo: connection closed by peer"))
    with pytest.raises(RankLost, match="the other ranks are gone"), rollout_engine.vllm_for_this_machine("vllm"):
        vllm_generation.LLM(model="toy")


@pytest.fixture
def client(installed, monkeypatch):
    """What TRL makes a client by, while a trainer is made; the server behind it answers or does not."""

    def init(self, base_url):
        if base_url == "http://nobody":
            raise Exception("Request failed: 401,\nno key")
        self.met = False

    def meet(self, device):
        self.met = True
        if device == "alone":
            raise RuntimeError("no NCCL")

    monkeypatch.setattr(VLLMClient, "__init__", init)
    monkeypatch.setattr(VLLMClient, "init_communicator", meet)
    with rollout_engine.vllm_for_this_machine("vllm"):
        yield vllm_generation.VLLMClient
    assert vllm_generation.VLLMClient is VLLMClient


def test_vllm_for_this_machine_server_that_refuses_is_one_line(client):
    with pytest.raises(EngineFailed, match="engine vllm: its server http://nobody is not reached: Request failed: 401, no key"):
        client(base_url="http://nobody")
    with pytest.raises(EngineFailed, match="engine vllm: its server and the trainer do not meet to sync weights: no NCCL"):
        client(base_url="http://vllm").init_communicator(device="alone")


def test_vllm_for_this_machine_server_is_met_by_nccl_unless_weights_go_through_a_directory(client, monkeypatch, tmp_path):
    made = client(base_url="http://vllm")
    made.init_communicator(device="cuda")
    assert made.clients[0].met
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_WEIGHTS", str(tmp_path))
    made = client(base_url="http://vllm")
    made.init_communicator(device="cuda")
    assert not made.clients[0].met
