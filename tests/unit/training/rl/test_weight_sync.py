from types import SimpleNamespace

import pytest
from accelerate import Accelerator
from safetensors.torch import load_file

from stillhouse.errors import EngineFailed
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.rl import weight_sync
from stillhouse.training.rl.rollout_servers import RolloutServers

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=64)


class Server:
    """vLLM's development routes: reads what it is handed while it is asked to, and answers with a status."""

    base_url = "http://vllm"

    def __init__(self, status=200):
        self.session, self.status, self.asked, self.read = self, status, [], None

    def post(self, url, json):
        self.asked.append(url)
        if self.status is None:
            raise ConnectionError("reset\nby peer")
        if url.endswith("/collective_rpc"):
            assert json["method"] == "reload_weights"
            self.read = load_file(f"{json['kwargs']['weights_path']}/model.safetensors")
        return SimpleNamespace(status_code=self.status, text="no such\nroute")


def servers_of(*servers):
    """Rollout servers that are up, without what TRL asks at the start."""
    made = RolloutServers.__new__(RolloutServers)
    made.clients, made._lost = list(servers), {}
    return made


def trainer(server):
    return SimpleNamespace(
        model=models.load(TINY, None, ["What is 1 + 1?"], 0)[0], accelerator=Accelerator(cpu=True),
        vllm_generation=SimpleNamespace(vllm_client=servers_of(server)),
    )  # fmt: skip


def test_sync_through_a_directory_names_every_weight_and_leaves_no_file(tmp_path):
    import torch

    server = Server()
    given = trainer(server)
    weight_sync.sync_through(given, tmp_path)
    expected = given.model.state_dict()
    assert server.read.keys() == expected.keys() >= {"lm_head.weight", "model.embed_tokens.weight"}
    assert all(torch.equal(server.read[name], value) for name, value in expected.items())
    assert server.asked == ["http://vllm/collective_rpc", "http://vllm/reset_prefix_cache"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, r"does not take weights .404: no such route.; start it with VLLM_SERVER_DEV_MODE=1"),
        (500, r"does not take weights .500: no such route.; look at its log"),
        (None, "failed while it took the weights: reset by peer; look at its log"),
    ],
)
def test_sync_through_a_directory_with_a_server_that_does_not_take_weights_is_one_line(tmp_path, status, said):
    with pytest.raises(EngineFailed, match=f"the vLLM server at http://vllm {said}"):
        weight_sync.sync_through(trainer(Server(status)), tmp_path)
    assert list(tmp_path.iterdir()) == []
