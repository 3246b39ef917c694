"""Muon for the matrices of hidden layers, with AdamW for embeddings, output head, norms and biases, as one optimizer."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from stillhouse.training.config import Muon


class MuonWithAdamW(torch.optim.Optimizer):
    """torch's Muon and AdamW behind one list of groups: a schedule or a checkpoint sees a single optimizer."""

    def __init__(
        self, model: PreTrainedModel, settings: Muon, learning_rate: float, weight_decay: float, decayed: Collection[str]
    ) -> None:
        """``decayed``: names of the parameters that AdamW shrinks by ``weight_decay``. Muon shrinks all of its own."""
        matrices = dict(hidden_matrices(model))
        others = {name: parameter for name, parameter in model.named_parameters() if name not in matrices}
        groups: list[dict[str, Any]] = [
            {"params": [parameter for name, parameter in others.items() if (name in decayed) is shrinks],
             "weight_decay": weight_decay if shrinks else 0.0}
            for shrinks in (True, False)
        ]  # fmt: skip
        muon = torch.optim.Muon(
            matrices.values(), learning_rate, weight_decay, settings.momentum, settings.nesterov,
            ns_steps=settings.newton_schulz_steps, adjust_lr_fn=settings.scale,
        )  # fmt: skip
        adamw = torch.optim.AdamW(groups, learning_rate, (settings.beta1, settings.beta2), settings.epsilon)
        self._parts = (muon, adamw)
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Have both parts step with this optimizer's groups and state."""
        muon, adamw = self._parts
        n_muon = len(muon.param_groups)
        muon.param_groups, adamw.param_groups = self.param_groups[:n_muon], self.param_groups[n_muon:]
        muon.state = adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of both."""
        loss = None if closure is None else closure()
        for part in self._parts:
            part.step()
        return loss


def hidden_matrices(model: PreTrainedModel) -> Iterator[tuple[str, nn.Parameter]]:
    """The trained matrices of hidden layers by name: all but embeddings and output head."""
    outer = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    head = model.get_output_embeddings()
    outer |= {id(head.weight)} if head is not None else set()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and parameter.requires_grad and id(parameter) not in outer:
            yield name, parameter
