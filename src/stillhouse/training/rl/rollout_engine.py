"""The rollout engine: transformers, or vLLM, which gets the trained weights before it writes a step's rollouts.

vLLM runs in the trainer's process, on the same GPUs, unless ``STILLHOUSE_ROLLOUT_SERVER`` is the address of a vLLM server.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from trl import GRPOTrainer
from trl.generation import vllm_generation
from trl.generation.vllm_client import VLLMClient

from stillhouse.errors import BadConfig, EngineFailed, RankLost
from stillhouse.execution import processes
from stillhouse.sampling.vllm import hardware
from stillhouse.training.rl import weight_sync
from stillhouse.training.rl.config import RolloutEngine
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line

MEMORY = 0.3
"""Share of a GPU's memory for a vLLM beside the trainer, unless ``STILLHOUSE_ROLLOUT_MEMORY`` is set."""
WEIGHTS_PORT = 51216
"""Where trainer and vLLM server meet to sync weights, unless ``STILLHOUSE_ROLLOUT_PORT`` is set."""


def arguments(engine: RolloutEngine, longest: int, stops: Sequence[int] = ()) -> dict[str, Any]:
    """Trainer arguments about the engine.

    ``longest``: tokens of the longest prompt with its rollout. ``stops``: the tokens that end a rollout.

    Raises EngineFailed if vLLM is not installed, or weights could not reach a server; BadConfig if the training's processes do not
    divide into groups of ``STILLHOUSE_ROLLOUT_TENSOR_PARALLEL``.
    """
    if engine == "transformers":
        return {}
    server = environment.text("STILLHOUSE_ROLLOUT_SERVER")
    _require_vllm(server)
    # vLLM itself knows only the eos of the checkpoint as it was loaded.
    common: dict[str, Any] = {"use_vllm": True, "generation_kwargs": {"stop_token_ids": list(stops)}}
    if server:
        port = environment.whole("STILLHOUSE_ROLLOUT_PORT", WEIGHTS_PORT)
        return common | {"vllm_mode": "server", "vllm_server_base_url": server.rstrip("/"), "vllm_group_port": port}
    n_processes, per_replica = processes.count(), environment.whole("STILLHOUSE_ROLLOUT_TENSOR_PARALLEL", 1)
    if n_processes % per_replica:
        msg = f"STILLHOUSE_ROLLOUT_TENSOR_PARALLEL={per_replica}: does not divide the training's {n_processes} processes"
        raise BadConfig(msg)
    return common | {
        "vllm_mode": "colocate", "vllm_tensor_parallel_size": per_replica, "vllm_max_model_length": longest,
        "vllm_gpu_memory_utilization": environment.number("STILLHOUSE_ROLLOUT_MEMORY", MEMORY),
    }  # fmt: skip


def _require_vllm(server: str | None) -> None:
    try:
        hardware()
        import vllm  # noqa: F401
    except ImportError as error:
        msg = "engine vllm: vllm is not installed here; use an image with `stillhouse[train,vllm]` or --set engine=transformers"
        raise EngineFailed(msg) from error
    if server and hardware() and weight_sync.directory() is None:
        msg = (
            f"STILLHOUSE_ROLLOUT_SERVER={server}: without a GPU, weights reach it through a shared directory; name "
            "it in STILLHOUSE_ROLLOUT_WEIGHTS"
        )
        raise EngineFailed(msg)


class RolloutClient(VLLMClient):
    """TRL's client of a vLLM server. Its errors are one line, and it meets the server by NCCL only if weights go that way."""

    def __init__(self, **arguments: Any) -> None:
        """Raises EngineFailed if the server cannot be reached."""
        with _start_errors("its server is not reached"):
            super().__init__(**arguments)

    def init_communicator(self, **arguments: Any) -> None:
        """Meet the server. Raises EngineFailed."""
        if weight_sync.directory() is None:
            with _start_errors("its server and the trainer do not meet to sync weights"):
                super().init_communicator(**arguments)

    def get_server_info(self) -> dict[str, Any]:
        """How the server was started. Raises EngineFailed."""
        with _start_errors("its server does not say how it was started"):
            return dict(super().get_server_info())


@contextmanager
def vllm_for_this_machine(engine: RolloutEngine) -> Iterator[None]:
    """While the block makes a trainer, TRL starts vLLM with the arguments this machine needs, and connects by ``RolloutClient``.

    TRL has no argument for either, so two names of its module are replaced and put back at the end. Raises EngineFailed if vLLM
    does not start or its server cannot be reached, RankLost if that is because another rank is gone.
    """
    if engine == "transformers":
        yield
        return
    originals = vllm_generation.LLM, vllm_generation.VLLMClient
    vllm_generation.LLM, vllm_generation.VLLMClient = partial(_start, vllm_generation.LLM), RolloutClient
    try:
        with processes.peers():
            yield
    finally:
        vllm_generation.LLM, vllm_generation.VLLMClient = originals


def _start(llm_class: Callable[..., Any], **arguments: Any) -> Any:
    """A ``vllm.LLM`` for this machine."""
    with _start_errors("it did not come up"), processes.peers():
        return llm_class(**(hardware() | arguments))


@contextmanager
def _start_errors(problem: str) -> Iterator[None]:
    """Turn whatever vLLM or its client raises into EngineFailed."""
    try:
        yield
    except RankLost:
        raise
    except Exception as error:  # TRL raises no narrower class for a server's refusal
        msg = f"engine vllm: {problem}: {one_line(error)}"
        raise EngineFailed(msg) from error


def finish(trainer: GRPOTrainer, seed: int) -> None:
    """Finish a new trainer's vLLM: make sampling follow the seed, and choose the weight sync that works on this machine."""
    if not trainer.use_vllm:
        return
    if trainer.args.vllm_mode == "server":
        if (shared := weight_sync.directory()) is not None:
            trainer.vllm_generation.sync_weights = lambda: weight_sync.sync_through(trainer, shared)
        return
    # vLLM has set the random state to the same in every run. Processes that share a replica have to draw the same numbers.
    replica = trainer.accelerator.process_index // trainer.args.vllm_tensor_parallel_size
    torch.manual_seed((seed << 16) + replica)
    if hardware():
        trainer.vllm_generation.sync_weights = lambda: _reload(trainer)


def _reload(trainer: GRPOTrainer) -> None:
    """Sync weights on a CPU: vLLM repacks them as it loads them, so they are loaded again instead of overwritten."""
    engine = trainer.vllm_generation.llm
    # The whole state: named parameters leave out a tied output head, and vLLM would keep its old one.
    weights: Mapping[str, torch.Tensor] = trainer.accelerator.unwrap_model(trainer.model).state_dict()
    engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights.items())})
    engine.reset_prefix_cache()
