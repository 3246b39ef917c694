"""Sequences that several processes share: each computes a part of a sequence, and of its attention some heads (DeepSpeed Ulysses).

It decides where activations lie and changes no result beyond rounding, so it comes from the environment:
``STILLHOUSE_SEQUENCE_PARALLEL`` is the number of processes to a sequence. Activations of a process shrink by that number, so that
sequences fit which no single GPU holds. DeepSpeed does it (Jacobs et al. 2023, arXiv:2309.14509), under any ``zero-…``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import ParallelismConfig
from accelerate.utils import DeepSpeedSequenceParallelConfig
from transformers import PreTrainedModel, Trainer

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.training.machine import zero
from stillhouse.vocabulary import environment

VARIABLE = "STILLHOUSE_SEQUENCE_PARALLEL"
BACKENDS = ("sdpa", "flash_attention_2", "flash_attention_3")
"""Attention backends that DeepSpeed can divide."""
IGNORED = -100
"""A label that is not learnt."""


def degree() -> int:
    """How many processes share a sequence."""
    return environment.whole(VARIABLE, 1)


def require_support(*, packing: bool) -> None:
    """Raise BadConfig for a training whose sequences cannot be shared; called before a model loads."""
    n, n_processes = degree(), processes.count()
    if n == 1:
        return
    problem = None
    if n_processes % n:
        problem = f"does not divide the training's {n_processes} processes; start a multiple of {n}"
    elif not zero.stage():
        problem = "needs DeepSpeed; set STILLHOUSE_SHARDING to zero-1, zero-2 or zero-3"
    elif packing:
        problem = "the borders of packed examples would be lost; set packing to false"
    if problem:
        msg = f"{VARIABLE}={n}: {problem}"
        raise BadConfig(msg)


def refuse(stage: str) -> None:
    """Raise BadConfig: this stage cannot share sequences."""
    if degree() > 1:
        msg = f"{VARIABLE}={degree()}: {stage} writes its own sequences and cannot share them; leave it unset"
        raise BadConfig(msg)


def arguments(model: PreTrainedModel, max_length: int) -> dict[str, Any]:
    """Trainer arguments. ``max_length``: tokens of the longest sequence.

    Raises BadConfig for a model whose heads cannot be divided, or an attention backend that cannot.
    """
    n = degree()
    if n == 1:
        return {}
    config, backend = model.config.get_text_config(), model.config._attn_implementation
    if backend not in BACKENDS:
        msg = f"{VARIABLE}={n}: not with the attention backend {backend}; set STILLHOUSE_ATTENTION to one of {', '.join(BACKENDS)}"
        raise BadConfig(msg)
    if config.num_attention_heads % n or (config.num_key_value_heads % n and n % config.num_key_value_heads):
        heads = f"{config.num_attention_heads} heads with {config.num_key_value_heads} of keys"
        msg = f"{VARIABLE}={n}: the model's {heads} cannot be divided by it; choose a divisor"
        raise BadConfig(msg)
    handler = DeepSpeedSequenceParallelConfig(sp_seq_length_is_variable=True, sp_attn_implementation=backend)
    sharing = ParallelismConfig(sp_backend="deepspeed", sp_size=n, dp_shard_size=processes.count() // n, sp_handler=handler)
    # Without NCCL, processes exchange only sequences of one length.
    multiple = n if torch.cuda.is_available() else -(-max_length // n) * n
    # On a resume transformers cannot skip what DeepSpeed's loader has given: the sampler begins where training stopped.
    return {"parallelism_config": sharing, "pad_to_multiple_of": multiple, "ignore_data_skip": True}


def meet() -> None:
    """Have DeepSpeed know the processes, once they have met: it divides attention before it starts."""
    if degree() > 1:
        from deepspeed import comm  # not installed in every environment that trains

        comm.init_distributed(dist_init_required=False)


def divisor() -> int:
    """By what DeepSpeed divides the sum of all processes' gradients: the number of sequences at once, with ZeRO 3 all processes.

    ZeRO 3 scatters gradients by a function that knows nothing of shared sequences, unless its ``reduce_scatter`` is off.
    """
    scatters = (zero.settings() or {}).get("zero_optimization", {}).get("reduce_scatter", True)
    return processes.count() if zero.stage() == 3 and scatters else processes.count() // degree()


class SharedSequencesMixin(Trainer):
    """A trainer whose loss is that of whole sequences, and of the whole batch: a mean over all tokens that are learnt.

    It stands below TRL's trainer, in place of transformers' loss, which averages over the tokens of each forward pass alone.
    """

    _n_learnt = 1
    """Tokens that are learnt in the current step, of all processes."""

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """The forward passes of a step; counts what is learnt in them."""
        batches, n_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if degree() > 1:
            if not batches:  # DeepSpeed's loader says so at the end of an epoch, and goes on with the next one
                batches, n_items = super().get_batch_samples(epoch_iterator, num_batches, device)
            own = sum(int((batch["shift_labels"] != IGNORED).sum()) for batch in batches)
            (self._n_learnt,) = (max(1, round(n)) for n in processes.combined([float(own)], device, "sum"))
        return batches, n_items

    def compute_loss(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:  # fmt: skip
        """This process's part of the loss, a scalar, times what DeepSpeed divides the sum of all parts by."""
        if degree() == 1:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        outputs = model(**inputs)
        # The trainer divides by the number of passes what it takes for a mean over one of them.
        loss = -outputs.log_probs.sum() / self._n_learnt * divisor() * self.current_gradient_accumulation_steps
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The loss as the sum of the processes' parts; transformers took the mean of what each returned."""
        if degree() > 1 and "loss" in logs:
            logs = logs | {"loss": logs["loss"] * processes.count() / divisor()}
        super().log(logs, start_time)
