"""The loss of a step's rollouts inside TRL's GRPOTrainer, whatever part of them a forward pass takes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from trl import GRPOTrainer

from stillhouse.execution import processes
from stillhouse.training.rl.losses import advantages, terms
from stillhouse.training.rl.losses.config import LossSettings

Rollouts = Mapping[str, Tensor]
"""Tensors by name, as TRL makes them: ``prompt_ids``, ``prompt_mask``, ``completion_ids``, ``completion_mask`` (int64, shape
(rollouts, tokens)), ``advantages``, and those that the settings need."""


class PolicyLossMixin(GRPOTrainer):
    """A trainer whose loss is ``losses``' in place of TRL's, which has some of its settings and takes entropy by forward pass."""

    _step_size: terms.StepSize

    def __init__(self, *, settings: LossSettings, **arguments: Any) -> None:
        """``arguments``: GRPOTrainer's."""
        self.settings, self._policy_loss = settings, terms.policy_loss(settings)
        super().__init__(**arguments)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Tensor]:
        """The rollouts of one forward pass; before the first pass of a step, their learnt tokens are counted in all passes."""
        inputs: dict[str, Tensor] = super()._prepare_inputs(generation_batch)
        n_passes = self.args.gradient_accumulation_steps
        if self._step % n_passes == 0:
            first = self._step % self.args.steps_per_generation
            own = sum(int(learnt(rollouts).sum()) for rollouts in self._buffered_inputs[first : first + n_passes])
            (n_tokens,) = processes.combined([own], self.accelerator.device, "sum")
            n_rollouts = n_passes * inputs["completion_ids"].shape[0]
            self._step_size = terms.StepSize(n_rollouts, n_tokens / processes.count(), self.max_completion_length)
        return inputs

    def _compute_loss(self, model: PreTrainedModel, inputs: Rollouts) -> Tensor:
        """What the rollouts of one forward pass add to the step's loss, a scalar."""
        n_tokens, n_passes = inputs["completion_ids"].shape[1], self.args.gradient_accumulation_steps
        logprobs, entropies, router_loss = self._get_per_token_logps_and_entropies(
            model, *_read(inputs), n_tokens, compute_entropy=True, compute_aux_loss=self.aux_loss_enabled
        )
        mask, settings, step = learnt(inputs).to(logprobs.dtype), self.settings, self._step_size
        old = inputs.get("old_per_token_logps")
        tokens = terms.RolloutTokens(logprobs, logprobs.detach() if old is None else old, inputs["advantages"], mask)
        policy = self._policy_loss(tokens, settings) * inputs.get("importance_sampling_ratio", 1.0)
        loss = policy_part = terms.aggregated(policy, mask, settings.loss_aggregation, step)
        divergence = None
        if "ref_per_token_logps" in inputs:
            divergence = terms.divergence(logprobs, inputs["ref_per_token_logps"], mask, settings.kl_estimator)
            if settings.kl_placement == "loss":
                weighed = divergence * terms.ratio(tokens, "token") if settings.kl_ratio else divergence
                loss = loss + settings.kl_coefficient * terms.aggregated(weighed, mask, settings.loss_aggregation, step)
        if settings.entropy_coefficient:
            bonus = terms.aggregated(entropies, mask, settings.entropy_aggregation, step)
            loss = loss - settings.entropy_coefficient * bonus
        if router_loss is not None:
            loss = loss + self.router_aux_loss_coef * router_loss / n_passes
        self._log_parts(tokens, policy_part, entropies, divergence)
        return loss

    def _log_parts(self, tokens: terms.RolloutTokens, policy_part: Tensor, entropies: Tensor, divergence: Tensor | None) -> None:
        """Add this pass's parts to the step's metrics, scaled so that the mean over passes, which TRL logs, is that of the step."""
        below, above = terms.clipped_shares(tokens, self.settings)
        means = {"entropy": entropies, "clip_ratio/low_mean": below, "clip_ratio/high_mean": above}
        means |= {"kl": divergence} if divergence is not None else {}
        parts = {"policy_loss": policy_part} | {
            name: terms.aggregated(values.detach(), tokens.mask, "token_mean", self._step_size) for name, values in means.items()
        }
        sums = processes.combined([float(part.detach()) for part in parts.values()], self.accelerator.device, "sum")
        scale = self.args.gradient_accumulation_steps / processes.count()
        for name, value in zip(parts, sums, strict=True):
            self._metrics["train"][name].append(value * scale)

    def _advantages(self, batch: Rollouts, rewards: Tensor) -> Tensor:
        """The advantages of this process's rollouts; ``rewards``: float, shape (rollouts,), NaN for none."""
        divergence = None
        if "ref_per_token_logps" in batch and self.settings.kl_placement == "reward":
            divergence = self._divergence_when_written(batch)
        return advantages.advantages(
            rewards, learnt(batch).to(rewards.dtype), self.num_generations, self.settings, divergence,
            lambda sums: processes.combined(list(sums), self.accelerator.device, "sum"),
        )  # fmt: skip

    def _divergence_when_written(self, batch: Rollouts) -> Tensor:
        """The KL estimate by token for the policy that wrote the rollouts: float, shape (rollouts, tokens)."""
        logprobs = batch.get("old_per_token_logps")
        if logprobs is None:
            with torch.no_grad():
                logprobs, _, _ = self._get_per_token_logps_and_entropies(
                    self.model, *_read(batch), batch["completion_ids"].shape[1], batch_size=self.args.per_device_train_batch_size
                )
        mask = learnt(batch).to(logprobs.dtype)
        return terms.divergence(logprobs, batch["ref_per_token_logps"], mask, self.settings.kl_estimator)


def learnt(rollouts: Rollouts) -> Tensor:
    """1 for the tokens that are learnt: int64, shape (rollouts, tokens). Tokens of a tool are not."""
    mask = rollouts["completion_mask"]
    return mask * rollouts["tool_mask"] if "tool_mask" in rollouts else mask


def _read(rollouts: Rollouts) -> tuple[Tensor, Tensor]:
    """Prompts with their rollouts, and their attention mask: int64, shape (rollouts, tokens)."""
    ids = torch.cat([rollouts["prompt_ids"], rollouts["completion_ids"]], dim=1)
    return ids, torch.cat([rollouts["prompt_mask"], rollouts["completion_mask"]], dim=1)
