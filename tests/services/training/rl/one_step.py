"""One step of the rl stage whose gradient is kept, and the same rollouts, one by one and without padding, for the oracles."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, TrainerCallback
from trl import GRPOTrainer

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.stages import rl
from stillhouse.training.rl import policy_training
from stillhouse.training.rl.reward_terms import weighted_sum
from stillhouse.verification.verdict import Verdict
from stillhouse.vocabulary.rows import Question, Selected
from tests.oracles.losses import Rollout

SETTINGS: dict[str, Any] = {
    "steps": 1, "group_size": 4, "prompts_per_step": 2, "max_tokens": 24, "learning_rate": 1e-4, "temperature": 1.5,
    "system_prompt": "none", "suffix": "none",
}  # fmt: skip
LONG = "What is the sum of these two numbers, 3 + 4?"


@dataclass
class OneStep:
    """What a step read and made."""

    prompts: list[list[int]] = field(default_factory=list)
    completions: list[list[int]] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    """Of the last step."""
    first_gradients: list[Tensor] = field(default_factory=list)
    """Of the step before it."""
    logs: dict[str, float] = field(default_factory=dict)
    models: dict[str, PreTrainedModel] = field(default_factory=dict)
    ends: set[int] = field(default_factory=set)

    def gradient_of(self, loss: Callable[[Sequence[Rollout]], Tensor], *, masks_cut: bool = False) -> list[Tensor]:
        """The gradient of an oracle's loss, in float64."""
        policy = self.models["policy"]
        policy.zero_grad()
        rows = [
            self._rollout(*row, masks_cut) for row in zip(self.prompts, self.completions, self.scores, strict=True)
        ]  # fmt: skip
        loss(rows).backward()
        return [parameter.grad for parameter in policy.parameters()]

    def _rollout(self, prompt: list[int], completion: list[int], score: float | None, masks_cut: bool) -> Rollout:
        logprobs, entropy = scored(self.models["policy"], prompt, completion)
        old, reference = (scored(self.models[name], prompt, completion)[0].detach() for name in ("old", "reference"))
        is_cut = masks_cut and completion[-1] not in self.ends
        return Rollout(score, logprobs, old, reference, entropy, is_cut)


def scored(model: PreTrainedModel, prompt: list[int], completion: list[int]) -> tuple[Tensor, Tensor]:
    """Log-probability of each token of the completion at the rollouts' temperature, and the entropy there; shape (tokens,)."""
    logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1] / SETTINGS["temperature"]
    logprobs = logits.log_softmax(-1)
    return logprobs.gather(1, torch.tensor(completion).unsqueeze(1)).squeeze(1), -(logprobs.exp() * logprobs).sum(-1)


def moved(checkpoint: Path, seed: int) -> PreTrainedModel:
    """The checkpoint with noise on its weights, in float64; with seed 0 as it is."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.03 if seed else 0.0) * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def distance(gradients: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The norm of the difference, over the norm of the gradient."""
    difference, own = (
        sum(float((tensor**2).sum()) for tensor in tensors) ** 0.5
        for tensors in ([one - other for one, other in zip(gradients, others, strict=True)], gradients)
    )
    assert own > 1e-4
    return difference / own


class HashScorer:
    """Scores a response by its text alone; some verifications fail."""

    def __init__(self, step: OneStep, n_failed: int) -> None:
        self._step, self._n_failed = step, n_failed

    def __enter__(self) -> "HashScorer":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def warm(self, questions: Any) -> None:
        pass

    def score(self, questions: Sequence[Question], responses: Sequence[str]) -> list[Verdict]:
        scores = [hashlib.sha256(f"{index}{text}".encode()).digest()[0] / 255 for index, text in enumerate(responses)]
        failed = [2 <= index < 2 + self._n_failed for index in range(len(scores))]
        self._step.scores += [None if is_failed else score for score, is_failed in zip(scores, failed, strict=True)]
        return [
            Verdict("error", None, "hash") if is_failed else Verdict("partial", score, "hash")
            for score, is_failed in zip(scores, failed, strict=True)
        ]  # fmt: skip


class KeepGradients(TrainerCallback):
    """Copies the gradients of a step before they are applied."""

    def __init__(self, step: OneStep, model: PreTrainedModel) -> None:
        self._step, self._model = step, model

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._step.first_gradients = self._step.gradients
        self._step.gradients = [parameter.grad.clone() for parameter in self._model.parameters()]


def run(
    tmp_path: Path,
    checkpoint: Path,
    micro_batch: int,
    *,
    plants_old: bool = True,
    n_failed: int = 1,
    on_log: Any = None,
    **settings: Any,
) -> OneStep:
    """One step with ``STILLHOUSE_MICRO_BATCH``, from a reference model and an old policy that differ from the trained weights."""
    step, make, generate = OneStep(), policy_training.make_trainer, GRPOTrainer._generate_and_score_completions
    reward = GRPOTrainer._calculate_rewards
    step.models = {"policy": moved(checkpoint, 0), "reference": moved(checkpoint, 1), "old": moved(checkpoint, 2 * plants_old)}

    def spied(config: Any, inputs: Any, model: Any, *arguments: Any) -> Any:
        trainer = make(config, inputs, model.double(), *arguments)
        trainer.args.max_grad_norm = 0.0
        if trainer.ref_model is not None:
            trainer.ref_model.double().load_state_dict(step.models["reference"].state_dict())
        step.ends = set(trainer.eos_token_ids)
        trainer.add_callback(KeepGradients(step, trainer.model))
        return trainer

    def kept(trainer: Any, rows: Any, prompts: Any, completions: Any, completion_ids: Any) -> Any:
        step.completions = completion_ids
        return reward(trainer, rows, prompts, completions, completion_ids)

    def planted(trainer: Any, rows: Any) -> Any:
        batch = generate(trainer, rows)
        prompts = zip(batch["prompt_ids"], batch["prompt_mask"].bool(), strict=True)
        step.prompts = [ids[mask].tolist() for ids, mask in prompts]
        if plants_old:
            old = torch.zeros(batch["completion_ids"].shape, dtype=torch.float64)
            for row, (prompt, completion) in enumerate(zip(step.prompts, step.completions, strict=True)):
                old[row, : len(completion)] = scored(step.models["old"], prompt, completion)[0].detach()
            batch["old_per_token_logps"] = old
        return batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STILLHOUSE_MICRO_BATCH", str(micro_batch))
        patch.setattr(policy_training, "make_trainer", spied)
        patch.setattr(weighted_sum, "VerifierScorer", lambda *_: HashScorer(step, n_failed))
        patch.setattr(GRPOTrainer, "_generate_and_score_completions", planted)
        patch.setattr(GRPOTrainer, "_calculate_rewards", kept)
        rl.run(rl.Config.model_validate(SETTINGS | settings), _inputs(step, tmp_path, checkpoint, on_log))
    return step


def _inputs(step: OneStep, tmp_path: Path, checkpoint: Path, on_log: Any) -> rl.Inputs:
    def log(numbers: Mapping[str, float], _: int | None = None) -> None:
        step.logs.update(numbers)
        if on_log:
            on_log(numbers)

    questions = [testing.questions(2)[0], testing.question(LONG, "7")]
    tables.write(tmp_path / "questions", questions, Question)
    tables.write(tmp_path / "selected", [testing.selected(question, "rl_1") for question in questions], Selected)
    return rl.Inputs(
        scratch=Path(mkdtemp(dir=tmp_path)), selected=tmp_path / "selected", questions=tmp_path / "questions",
        checkpoint=checkpoint, log=log,
    )  # fmt: skip
