"""Who writes the rollouts: transformers, or vLLM, which is handed the trained weights before it writes a step's.

vLLM runs in the trainer's process, on the same GPUs, unless ``STILLHOUSE_ROLLOUT_SERVER`` is the address of a vLLM server.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from stillhouse.errors import BadConfig, EngineFailed, RankLost, one_line
from stillhouse.execution import environment, processes
from stillhouse.sampling.vllm import hardware
from stillhouse.training.rl import weight_sync

Engine = Literal["transformers", "vllm"]

MEMORY = 0.3
"""Share of a GPU's memory that a vLLM beside the trainer takes, where ``STILLHOUSE_ROLLOUT_MEMORY`` gives no other."""
WEIGHTS_PORT = 51216
"""Where the trainer and a vLLM server meet to hand over weights, where ``STILLHOUSE_ROLLOUT_PORT`` gives no other."""


def arguments(engine: Engine, longest: int) -> dict[str, Any]:
    """Trainer arguments about the engine. ``longest``: tokens of the longest prompt with its rollout.

    Raises EngineFailed where vLLM is not installed, or a server could not be handed weights; BadConfig where the processes of the
    training cannot be cut into groups of ``STILLHOUSE_ROLLOUT_TENSOR_PARALLEL``.
    """
    if engine == "transformers":
        return {}
    server = os.environ.get("STILLHOUSE_ROLLOUT_SERVER")
    _require_vllm(server)
    # The engines' rounding is corrected token by token: over 16k tokens its product would leave few rollouts in the loss.
    corrected = {"use_vllm": True, "vllm_importance_sampling_mode": "token_truncate"}
    if server:
        port = environment.whole("STILLHOUSE_ROLLOUT_PORT", WEIGHTS_PORT)
        return corrected | {"vllm_mode": "server", "vllm_server_base_url": server.rstrip("/"), "vllm_group_port": port}
    n_processes, together = processes.count(), environment.whole("STILLHOUSE_ROLLOUT_TENSOR_PARALLEL", 1)
    if n_processes % together:
        msg = f"STILLHOUSE_ROLLOUT_TENSOR_PARALLEL={together}: does not divide the training's {n_processes} processes"
        raise BadConfig(msg)
    return corrected | {
        "vllm_mode": "colocate", "vllm_tensor_parallel_size": together, "vllm_max_model_length": longest,
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
            f"STILLHOUSE_ROLLOUT_SERVER={server}: without a GPU, weights reach it through a directory that both sides have; name "
            "that in STILLHOUSE_ROLLOUT_WEIGHTS"
        )
        raise EngineFailed(msg)


@contextmanager
def made_for(engine: Engine) -> Iterator[None]:
    """While the block makes a trainer, its vLLM gets what this machine needs: TRL has no argument for it.

    Raises EngineFailed where vLLM does not come up or its server is not reached, RankLost where that is another rank's doing.
    """
    if engine == "transformers":
        yield
        return
    from trl.generation import vllm_generation as theirs

    originals = theirs.LLM, theirs.VLLMClient
    theirs.LLM, theirs.VLLMClient = _engine(theirs.LLM), _client(theirs.VLLMClient)
    try:
        with processes.peers():
            yield
    finally:
        theirs.LLM, theirs.VLLMClient = originals


def _engine(vllm_class: Any) -> Any:
    def make(**arguments: Any) -> Any:
        with _coming_up("it did not come up"), processes.peers():
            return vllm_class(**(hardware() | arguments))

    return make


def _client(client_class: Any) -> Any:
    class Client(client_class):  # type: ignore[misc]
        """Meets the server by NCCL only where weights go that way."""

        def __init__(self, **arguments: Any) -> None:
            with _coming_up("its server is not reached"):
                super().__init__(**arguments)

        def init_communicator(self, **arguments: Any) -> None:
            if weight_sync.directory() is None:
                with _coming_up("its server and the trainer do not meet to hand over weights"):
                    super().init_communicator(**arguments)

        def get_server_info(self) -> Any:
            with _coming_up("its server does not say how it was started"):
                return super().get_server_info()

    return Client


@contextmanager
def _coming_up(what: str) -> Iterator[None]:
    try:
        yield
    except RankLost:
        raise
    except Exception as error:  # of what TRL raises for a server's refusal there is no narrower class
        msg = f"engine vllm: {what}: {one_line(error)}"
        raise EngineFailed(msg) from error


def settle(trainer: Any, seed: int) -> None:
    """What a trainer's new vLLM still needs: sampling that follows the seed, and weights in the way that it can take them."""
    if not trainer.use_vllm:
        return
    if trainer.args.vllm_mode == "server":
        if (through := weight_sync.directory()) is not None:
            trainer.vllm_generation.sync_weights = lambda: weight_sync.hand_over(trainer, through)
        return
    import torch

    # vLLM has reset the random state to the same for every run. Processes that share a replica have to draw alike.
    group = trainer.accelerator.process_index // trainer.args.vllm_tensor_parallel_size
    torch.manual_seed((seed << 16) + group)
    if hardware():
        trainer.vllm_generation.sync_weights = lambda: _reload(trainer)


def _reload(trainer: Any) -> None:
    """Hand over weights on a CPU: vLLM packs them there as it loads them, so they are loaded again instead of written over."""
    engine = trainer.vllm_generation.llm
    # The whole state: named parameters leave out the output head where it is tied, and vLLM would keep its old one.
    weights: Mapping[str, Any] = trainer.accelerator.unwrap_model(trainer.model).state_dict()
    engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights.items())})
    engine.reset_prefix_cache()
