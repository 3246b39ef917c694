"""The rollout engine: transformers, or vLLM, which gets the trained weights before it writes a step's rollouts.

vLLM runs in the trainer's process, on the same GPUs, unless ``STILLHOUSE_ROLLOUT_SERVER`` names vLLM servers. With
``STILLHOUSE_ROLLOUT_SLEEP=on`` the one in the trainer's process gives its memory back while the weights are updated.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from accelerate.utils import is_peft_model
from trl import GRPOTrainer
from trl.generation import vllm_generation

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.execution import processes
from stillhouse.sampling.vllm import hardware
from stillhouse.training import lora
from stillhouse.training.rl import rollout_servers, weight_sync
from stillhouse.training.rl.config import RolloutEngine
from stillhouse.training.rl.rollout_servers import RolloutServers, client_errors
from stillhouse.vocabulary import environment

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
    servers = rollout_servers.addresses()
    _require_vllm(servers)
    # vLLM itself knows only the eos of the checkpoint as it was loaded.
    common: dict[str, Any] = {"use_vllm": True, "generation_kwargs": {"stop_token_ids": list(stops)}}
    if servers:
        port = environment.whole("STILLHOUSE_ROLLOUT_PORT", WEIGHTS_PORT)
        return common | {"vllm_mode": "server", "vllm_server_base_url": ",".join(servers), "vllm_group_port": port}
    n_processes, per_replica = processes.count(), environment.whole("STILLHOUSE_ROLLOUT_TENSOR_PARALLEL", 1)
    if n_processes % per_replica:
        msg = f"STILLHOUSE_ROLLOUT_TENSOR_PARALLEL={per_replica}: does not divide the training's {n_processes} processes"
        raise BadConfig(msg)
    return common | {
        "vllm_mode": "colocate", "vllm_tensor_parallel_size": per_replica, "vllm_max_model_length": longest,
        "vllm_gpu_memory_utilization": environment.number("STILLHOUSE_ROLLOUT_MEMORY", MEMORY),
        "vllm_enable_sleep_mode": _sleeps(),
    }  # fmt: skip


def _sleeps() -> bool:
    """Whether vLLM gives its memory back during the update. Raises BadConfig where it cannot."""
    asked = environment.switch("STILLHOUSE_ROLLOUT_SLEEP", default=False)
    if asked and hardware():
        msg = "STILLHOUSE_ROLLOUT_SLEEP=on: vLLM on a CPU has no memory of a GPU to give back; set it to off"
        raise BadConfig(msg)
    return asked


def _require_vllm(servers: Sequence[str]) -> None:
    try:
        hardware()
        import vllm  # noqa: F401
    except ImportError as error:
        msg = "engine vllm: vllm is not installed here; use an image with `stillhouse[train,vllm]` or --set engine=transformers"
        raise EngineFailed(msg) from error
    through_files = weight_sync.directory() is not None
    if servers and not through_files and (hardware() or len(servers) > 1):
        why = "without a GPU, weights reach it" if hardware() else "weights reach several servers"
        msg = (
            f"STILLHOUSE_ROLLOUT_SERVER={','.join(servers)}: {why} through a shared directory; name it in "
            "STILLHOUSE_ROLLOUT_WEIGHTS"
        )
        raise EngineFailed(msg)


@contextmanager
def vllm_for_this_machine(engine: RolloutEngine) -> Iterator[None]:
    """While the block makes a trainer, TRL starts vLLM with the arguments this machine needs, and connects by ``RolloutServers``.

    TRL has no argument for either, so two names of its module are replaced and put back at the end. Raises EngineFailed if vLLM
    does not start or its server cannot be reached, RankLost if that is because another rank is gone.
    """
    if engine == "transformers":
        yield
        return
    originals = vllm_generation.LLM, vllm_generation.VLLMClient
    vllm_generation.LLM, vllm_generation.VLLMClient = partial(_start, vllm_generation.LLM), RolloutServers
    try:
        with processes.peers():
            yield
    finally:
        vllm_generation.LLM, vllm_generation.VLLMClient = originals


def _start(llm_class: Callable[..., Any], **arguments: Any) -> Any:
    """A ``vllm.LLM`` for this machine."""
    with client_errors("it did not come up"), processes.peers():
        return llm_class(**(hardware() | arguments))


def finish(trainer: GRPOTrainer, seed: int) -> None:
    """Finish a new trainer's vLLM: make sampling follow the seed, and choose the weight sync that works on this machine."""
    if not trainer.use_vllm:
        return
    if is_peft_model(trainer.model):
        trainer.vllm_generation._iter_named_params = lambda: _adapted(trainer)
    if trainer.args.vllm_mode == "server":
        if (shared := weight_sync.directory()) is not None:
            trainer.vllm_generation.sync_weights = lambda: weight_sync.sync_through(trainer, shared)
        return
    # vLLM has set the random state to the same in every run. Processes that share a replica have to draw the same numbers.
    replica = trainer.accelerator.process_index // trainer.args.vllm_tensor_parallel_size
    torch.manual_seed((seed << 16) + replica)
    if hardware():
        trainer.vllm_generation.sync_weights = lambda: _reload(trainer)


def _adapted(trainer: GRPOTrainer) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights with their adapters, each tied one once, in place of TRL's: it would merge the adapters and take them out again."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    names = {name.replace(lora.BASE_LAYER, ".") for name, _ in model.get_base_model().named_parameters()}
    yield from ((name, weight) for name, weight in lora.engine_weights(model) if name in names)


def _reload(trainer: GRPOTrainer) -> None:
    """Sync weights on a CPU: vLLM repacks them as it loads them, so they are loaded again instead of overwritten."""
    engine = trainer.vllm_generation.llm
    # The whole state: named parameters leave out a tied output head, and vLLM would keep its old one.
    weights = lora.engine_weights(trainer.accelerator.unwrap_model(trainer.model))
    engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
    engine.reset_prefix_cache()
