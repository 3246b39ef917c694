"""A batch -> forward passes that fit the device, the same batch however many processes share it."""

from collections.abc import Callable, Iterator
from typing import Any

from stillhouse.errors import BadConfig
from stillhouse.execution import environment, processes
from stillhouse.training.data.tokens import IGNORED


def passes(batch: int, field: str = "batch_size", rows_each: int = 1) -> tuple[int, int]:
    """Rows to a forward pass of one process, and its passes to a batch: with the processes, their product is the whole batch.

    ``field`` of the config gives the batch, in units of ``rows_each`` rows that stay on one process. ``STILLHOUSE_MICRO_BATCH`` is
    the most rows a device can take; the largest divisor of a process's share up to it is used. Raises BadConfig where the
    processes cannot share the batch evenly.
    """
    n = processes.count()
    if batch % n:
        msg = f"{field} {batch} cannot be shared evenly by {n} processes; start as many as divide it, or change it"
        raise BadConfig(msg)
    share = batch // n * rows_each
    most = min(share, environment.whole("STILLHOUSE_MICRO_BATCH", share))
    rows = max((size for size in range(1, most + 1) if share % size == 0), default=1)
    return rows, share // rows


def filled(trainer_class: Any, batch: int) -> Any:
    """The trainer class with whole batches to the end of each epoch where several processes share them.

    One process ends an epoch on the rows that are left; several would repeat rows to have as many each. Rows without any token to
    learn fill up instead: they add nothing to loss or gradient.
    """
    if processes.count() == 1:
        return trainer_class

    class Filled(trainer_class):  # type: ignore[misc]
        """Shuffles as ever, and ends on empty rows."""

        def _get_dataloader(self, dataset: Any, *given: Any, **named: Any) -> Any:
            return super()._get_dataloader(_with_empty_row(dataset, self.processing_class.eos_token_id), *given, **named)

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return _sampler(len(self.train_dataset), batch, self.args.seed, lambda: self.state.global_step)

    Filled.__name__ = trainer_class.__name__
    return Filled


def _with_empty_row(dataset: Any, token: int) -> Any:
    """The dataset and a last row of two tokens that are not learnt."""
    from torch.utils.data import ConcatDataset

    row = {"input_ids": [token] * 2, "labels": [IGNORED] * 2, "seq_lengths": [2]}
    return ConcatDataset([dataset, [{name: row[name] for name in dataset[0]}]])


def _sampler(n: int, batch: int, seed: int, steps_done: Callable[[], int]) -> Any:
    """Rows 0 to n - 1 in the order that one process would take them in, then row n until the last batch is whole."""
    import torch

    class Sampler(torch.utils.data.Sampler):  # type: ignore[misc]
        """Begins the epoch that the steps done lead to: accelerate tells a resumed training's sampler of none."""

        def __len__(self) -> int:
            return n + -n % batch

        def __iter__(self) -> Iterator[int]:
            epoch = steps_done() * batch // len(self)
            yield from torch.randperm(n, generator=torch.Generator().manual_seed(seed + epoch)).tolist()
            yield from [n] * (-n % batch)

    return Sampler()
