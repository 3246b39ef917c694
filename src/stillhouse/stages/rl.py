"""selected + questions + checkpoint -> rl: GRPO on one difficulty stage's questions, rewarded by the verifier."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from stillhouse import rows
from stillhouse.errors import NothingToDo
from stillhouse.rows import Question, Selected
from stillhouse.sampling.prompts import Suffix, SystemPrompt
from stillhouse.stage import Outputs, StageConfig, StageInputs


class Config(StageConfig):
    """How to train. The defaults are the paper's (Difficulty-Aware Staged RL §4.1), steps aside."""

    split: str = "rl_1"
    """The split of the selected examples whose questions are trained on."""
    steps: int = Field(1600, ge=1)
    """Optimizer steps (paper: stage 1 plateaus at step 1600)."""
    learning_rate: float = Field(1e-6, gt=0)
    """Constant learning rate."""
    group_size: int = Field(16, ge=2)
    """Rollouts to a question: GRPO's group."""
    prompts_per_step: int = Field(128, ge=1)
    """Questions to a step; the paper says a batch of 128 without saying of what."""
    kl_coefficient: float = Field(0.001, ge=0)
    """Weight of the KL term towards the initial policy."""
    entropy_coefficient: float = Field(0.001, ge=0)
    """Weight of the entropy bonus; the paper's stage 2 sets 0."""
    mask_truncated: bool = False
    """Leave rollouts cut at max_tokens out of the loss; the paper's stage 2 does."""
    temperature: float = Field(1.0, gt=0)
    """Rollout temperature; the paper gives no value."""
    max_tokens: int = Field(16_384, ge=1)
    """Longest rollout, in tokens (paper: 16k, stage 2 24k)."""
    verify_timeout_s: float = Field(10, gt=0)
    """Seconds one verification may take; a rollout whose verification fails gets no gradient."""
    system_prompt: SystemPrompt = "think_answer"
    """The system prompt of the rollouts, by name."""
    suffix: Suffix = "boxed"
    """What follows the question, by name."""
    seed: int = Field(0, ge=0)
    """Decides the order of the questions and the rollouts."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The selected examples, their questions with references, and the initial policy."""

    selected: Path
    questions: Path
    checkpoint: Path


def run(config: Config, inputs: Inputs) -> Outputs:
    """Train, and write the checkpoint."""
    from stillhouse.training import models, progress
    from stillhouse.training.grpo import make_trainer
    from stillhouse.training.rewards import Rewards

    questions = _questions(config, inputs)
    model, tokenizer = models.load(models.FromCheckpoint(), inputs.checkpoint, (), config.seed)
    with Rewards(questions, config.group_size, config.verify_timeout_s) as rewards:
        trainer = make_trainer(config, inputs, model, tokenizer, questions, rewards)
        trainer.train()
        counts = {f"n_rollouts_{kind}": float(n) for kind, n in sorted(rewards.kinds.items())}
    models.save(model, tokenizer, inputs.output)
    metrics = {"n_questions": len(questions), "n_steps": trainer.state.global_step, **counts, **progress.final_numbers(trainer)}
    return Outputs(metrics=metrics)


def _questions(config: Config, inputs: Inputs) -> dict[str, Question]:
    """The questions of the split, by id, in the order of the split."""
    chosen = [row.question_id for row in rows.read(inputs.selected, Selected) if row.split == config.split]
    if not chosen:
        msg = f"rl: split {config.split!r} has no example in the selected artifact; check `split` against the recipe of `selected`"
        raise NothingToDo(msg)
    by_id = {question.question_id: question for question in rows.read(inputs.questions, Question)}
    missing = [each for each in chosen if each not in by_id]
    if missing:
        msg = f"rl: question {missing[0]} ({len(missing)} such) of split {config.split!r} is not in the questions input"
        raise NothingToDo(msg)
    return {each: by_id[each] for each in chosen}
