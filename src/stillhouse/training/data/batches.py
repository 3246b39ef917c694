"""A batch -> forward passes that fit the device, the same batch however many processes share it."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import ConcatDataset, DataLoader, Sampler
from transformers import Trainer

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.training.data.tokens import IGNORED
from stillhouse.training.machine import sequence_parallel
from stillhouse.vocabulary import environment


def passes(batch: int, field: str = "batch_size", rows_per_unit: int = 1) -> tuple[int, int]:
    """Rows in one process's forward pass, and its passes per batch; their product times the processes is the whole batch.

    ``batch`` is the value of the config's ``field``, in units of ``rows_per_unit`` rows that stay on one process.
    ``STILLHOUSE_MICRO_BATCH`` is the most rows a device can take; the largest divisor of a process's share up to it is used. Raises
    BadConfig if the processes cannot share the batch evenly.
    """
    n = processes.count()
    if batch % n:
        msg = f"{field} {batch} cannot be shared evenly by {n} processes; start as many as divide it, or change it"
        raise BadConfig(msg)
    share = batch // n * rows_per_unit
    most = min(share, environment.whole("STILLHOUSE_MICRO_BATCH", share))
    rows = max((size for size in range(1, most + 1) if share % size == 0), default=1)
    # Processes that share their sequences take each other's rows too, one process's after the other's.
    return rows, share // rows * sequence_parallel.degree()


class WholeBatchesMixin(Trainer):
    """A trainer that has whole batches to the end of each epoch if several processes share them.

    A single process ends an epoch on the remaining rows; several would repeat rows to have equally many. Rows without any token to
    learn fill the last batch instead: they add nothing to loss or gradient.
    """

    rows_per_step: int
    """Rows per optimizer step, of all processes together."""

    def _get_dataloader(self, dataset: Dataset, *args: Any, **kwargs: Any) -> DataLoader:
        if processes.count() > 1:
            dataset = _with_empty_row(dataset, self.processing_class.eos_token_id)
        return super()._get_dataloader(dataset, *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        if processes.count() == 1:
            return super()._get_train_sampler(train_dataset)
        return FilledEpochs(len(self.train_dataset), self.rows_per_step, self.args.seed, lambda: self.state.global_step)


def _with_empty_row(dataset: Dataset, token: int) -> ConcatDataset:
    """The dataset and a last row of two tokens that are not learnt."""
    row = {"input_ids": [token] * 2, "labels": [IGNORED] * 2, "seq_lengths": [2]}
    return ConcatDataset([dataset, [{name: row[name] for name in dataset[0]}]])


class FilledEpochs(Sampler):
    """Rows 0 to n - 1 in the order one process would take them, then row n (the empty one) until the last batch is whole.

    It starts the epoch that follows from the steps done, since accelerate does not tell a resumed training's sampler its epoch.
    """

    def __init__(self, n: int, batch: int, seed: int, steps_done: Callable[[], int]) -> None:
        """``n``: rows without the empty one. ``batch``: rows per optimizer step."""
        self._n, self._batch, self._seed, self._steps_done = n, batch, seed, steps_done

    def __len__(self) -> int:
        return self._n + -self._n % self._batch

    def __iter__(self) -> Iterator[int]:
        epoch, done = divmod(self._steps_done() * self._batch, len(self))
        order = torch.randperm(self._n, generator=torch.Generator().manual_seed(self._seed + epoch)).tolist()
        order += [self._n] * (-self._n % self._batch)
        # The trainer skips what was done in the epoch itself, unless processes share their sequences.
        yield from order[done if sequence_parallel.degree() > 1 else 0 :]
