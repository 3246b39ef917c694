"""Bytes that tensors hold on a CPU, by their storages: a stand-in for what a GPU's allocator reports."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class _Storages(TorchDispatchMode):
    """Counts the storages that operations make, until nothing refers to them."""

    def __init__(self) -> None:
        super().__init__()
        self._alive: dict[int, weakref.ref] = {}
        self.held = self.most = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = set()
        tree_map_only(torch.Tensor, lambda tensor: given.add(id(tensor.untyped_storage())), (args, kwargs or {}))
        result = operation(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, lambda tensor: self._note(tensor.untyped_storage(), given), result)
        return result

    def _note(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        number, size = id(storage), storage.nbytes()
        if number in self._alive or number in given:
            return

        def gone(_: Any) -> None:
            del self._alive[number]
            self.held -= size

        self._alive[number] = weakref.ref(storage, gone)
        self.held += size
        self.most = max(self.most, self.held)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes that tensors made in the call held at once."""
    with _Storages() as storages:
        run()
    return storages.most
