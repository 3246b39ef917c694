"""Weight sync to a vLLM server through a shared directory, for machines that NCCL does not connect, for example without GPUs.

TRL's own sync between GPUs is faster; it is used unless ``STILLHOUSE_ROLLOUT_WEIGHTS`` names the directory.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from trl import GRPOTrainer

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.training import lora
from stillhouse.training.machine import zero
from stillhouse.training.rl import rollout_server
from stillhouse.vocabulary import environment


def directory() -> Path | None:
    """The shared directory; None if the environment names none. Raises BadConfig if it does not exist."""
    named = environment.text("STILLHOUSE_ROLLOUT_WEIGHTS")
    if named and not Path(named).is_dir():
        msg = f"STILLHOUSE_ROLLOUT_WEIGHTS={named}: no directory; name one that trainer and server both have, under the same path"
        raise BadConfig(msg)
    return Path(named).resolve() if named else None


def sync_through(trainer: GRPOTrainer, shared: Path) -> None:
    """Write the weights, have every server load them and reset its prefix cache, and remove the files; all ranks.

    Raises EngineLost if no server takes them.
    """
    weights = zero.weights(trainer) or dict(lora.engine_weights(trainer.accelerator.unwrap_model(trainer.model)))
    if processes.rank() == 0:
        with tempfile.TemporaryDirectory(prefix="weights-", dir=shared) as subdirectory:
            Path(subdirectory).chmod(0o755)  # the server may run as another user
            save_file(_separate(weights), Path(subdirectory) / "model.safetensors")
            body = {"method": "reload_weights", "kwargs": {"weights_path": subdirectory}}
            servers = trainer.vllm_generation.vllm_client
            servers.readmit()
            servers.of_each(lambda client: rollout_server.ask(client, "collective_rpc", body, "take weights", "took the weights"))
        servers.reset_prefix_cache()
    trainer.accelerator.wait_for_everyone()


def _separate(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All weights, none sharing memory: a tied output head has to be named, or vLLM on a CPU keeps its old one."""
    seen: set[int] = set()
    separate = {}
    for name, value in weights.items():
        separate[name] = value.clone() if value.data_ptr() in seen else value.contiguous()
        seen.add(value.data_ptr())
    return separate
