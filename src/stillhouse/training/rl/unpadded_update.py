"""The update of rl without padding: the rollouts of a forward pass stand one after the other in a single row.

Positions that begin again with each rollout keep them apart, as they do with the packs of sft. The numbers are equal to rounding,
so the environment decides: ``STILLHOUSE_PACK_ROLLOUTS`` is ``on`` or ``off``. The first pass is computed both ways and compared:
a backend of attention that lets rollouts see each other would teach something else without a word.
"""

from typing import Any

import torch
from transformers import PreTrainedModel
from trl import GRPOTrainer

from stillhouse.errors import EngineFailed
from stillhouse.vocabulary import environment

IGNORED = -100
"""A label that is not scored."""
EXACT, ROUNDED = 1e-3, 0.05
"""Mean difference, in nats, that rounding in fp32 and in bf16 explains."""

Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""Log-probabilities and entropies of shape (rollouts, tokens of a rollout), and the loss of a mixture of experts."""


class UnpaddedUpdateMixin(GRPOTrainer):
    """Scores rollouts in one row without padding, if the environment asks for it."""

    _compared = False

    @property
    def packs_rollouts(self) -> bool:
        """Whether forward passes read no padding."""
        return environment.switch("STILLHOUSE_PACK_ROLLOUTS", default=False)

    def _get_per_token_logps_and_entropies(
        self, model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: int,
        batch_size: int | None = None, compute_entropy: bool = False, compute_aux_loss: bool = False, **images: Any,
    ) -> Scores:  # fmt: skip
        """Scores of the last ``logits_to_keep`` tokens of each row.

        ``input_ids`` and ``attention_mask``: int64, shape (rollouts, tokens). Raises EngineFailed if the first pass differs from
        one with padding.
        """
        padded = super()._get_per_token_logps_and_entropies
        options = {"compute_entropy": compute_entropy, "compute_aux_loss": compute_aux_loss}
        if not self.packs_rollouts:
            scores: Scores = padded(model, input_ids, attention_mask, logits_to_keep, batch_size, **options, **images)
            return scores
        rows = batch_size or len(input_ids)
        passes = [
            self._packed(model, ids, mask, logits_to_keep, **options)
            for ids, mask in zip(input_ids.split(rows), attention_mask.split(rows), strict=True)
        ]
        logprobs, entropies, router_losses = zip(*passes, strict=True)
        if not self._compared:
            with torch.no_grad():
                expected = padded(model, input_ids[:rows], attention_mask[:rows], logits_to_keep)[0]
            self._require_equal(logprobs[0].detach(), expected, attention_mask[:rows, -logits_to_keep:])
            self._compared = True
        return (
            torch.cat(logprobs), torch.cat(entropies) if compute_entropy else None,
            torch.stack(router_losses).mean() if compute_aux_loss else None,
        )  # fmt: skip

    def _packed(
        self, model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, n_scored: int,
        *, compute_entropy: bool, compute_aux_loss: bool,
    ) -> Scores:  # fmt: skip
        """One forward pass over all tokens that are no padding."""
        read = attention_mask.bool()
        labels = input_ids.clone()
        labels[:, :-n_scored] = IGNORED  # so is the first token of a rollout, which follows another rollout's last
        positions = attention_mask.cumsum(1) - 1
        router = {"output_router_logits": True} if compute_aux_loss else {}
        with self.accelerator.autocast():
            outputs = model(
                input_ids=input_ids[read][None], position_ids=positions[read][None], labels=labels[read][None],
                fused_lm_head=True, **router,
            )  # fmt: skip
        entropies = _unpacked(outputs.entropy, read)[:, -n_scored:] if compute_entropy else None
        return _unpacked(outputs.log_probs, read)[:, -n_scored:], entropies, outputs.aux_loss if compute_aux_loss else None

    def _require_equal(self, packed: torch.Tensor, padded: torch.Tensor, mask: torch.Tensor) -> None:
        """Raise EngineFailed if the log-probabilities of two ways differ by more than rounding; shapes (rollouts, tokens)."""
        difference = float(((packed - padded).abs() * mask).sum() / mask.sum().clamp(min=1))
        exact = packed.dtype is torch.float32 and not self.args.bf16 and self.model.dtype is torch.float32
        if not difference <= (EXACT if exact else ROUNDED):
            backend = self.model.config._attn_implementation
            msg = (
                f"STILLHOUSE_PACK_ROLLOUTS=on: log-probabilities differ by {difference:.3g} nats in the mean from those with "
                f"padding: rollouts of one row see each other with the attention backend {backend}; set it to off, or choose "
                "another STILLHOUSE_ATTENTION"
            )
            raise EngineFailed(msg)


def _unpacked(values: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    """Values by token, in the places of their tokens: shape (rollouts, tokens), 0 for padding.

    ``values``: shape (1, n - 1), for each token but the first of ``n``. ``read``: the tokens of the row, bool, shape (rollouts,
    tokens).
    """
    first = values.new_zeros(1)
    return values.new_zeros(read.shape).masked_scatter(read, torch.cat([first, values[0]]))
