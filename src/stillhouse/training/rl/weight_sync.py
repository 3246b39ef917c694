"""Trained weights to a vLLM server through a directory that both see: where no NCCL connects them, such as without GPUs.

A GPU's own way is faster, and TRL's; it is taken unless ``STILLHOUSE_ROLLOUT_WEIGHTS`` names the directory.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.training.machine import zero
from stillhouse.training.rl import rollout_server


def directory() -> Path | None:
    """The directory, None where none is named. Raises BadConfig for one that is not there."""
    named = os.environ.get("STILLHOUSE_ROLLOUT_WEIGHTS")
    if named and not Path(named).is_dir():
        msg = f"STILLHOUSE_ROLLOUT_WEIGHTS={named}: no directory; name one that trainer and server both have, under the same path"
        raise BadConfig(msg)
    return Path(named).resolve() if named else None


def hand_over(trainer: Any, through: Path) -> None:
    """Write the weights, and have the server read them, which then forgets what it has cached; all ranks.

    The files are gone afterwards. Raises EngineFailed where the server does not take them.
    """
    from safetensors.torch import save_file

    weights = zero.weights(trainer) or trainer.accelerator.unwrap_model(trainer.model).state_dict()
    if processes.rank() == 0:
        with tempfile.TemporaryDirectory(prefix="weights-", dir=through) as made:
            Path(made).chmod(0o755)  # the server may run as another user
            save_file(_apart(weights), Path(made) / "model.safetensors")
            _tell(trainer, "collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": made}})
        _tell(trainer, "reset_prefix_cache", {})
    trainer.accelerator.wait_for_everyone()


def _apart(weights: Mapping[str, Any]) -> dict[str, Any]:
    """All weights, each in memory of its own: a tied output head has to be named, or vLLM on a CPU keeps its old one."""
    seen: set[int] = set()
    made = {}
    for name, value in weights.items():
        made[name] = value.clone() if value.data_ptr() in seen else value.contiguous()
        seen.add(value.data_ptr())
    return made


def _tell(trainer: Any, route: str, body: dict[str, Any]) -> None:
    rollout_server.ask(trainer.vllm_generation.vllm_client, route, body, "take weights", "took the weights")
