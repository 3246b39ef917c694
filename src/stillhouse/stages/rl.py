"""selected + questions + checkpoint -> rl: GRPO on one difficulty stage's questions, rewarded by the verifier."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stillhouse.rows import Category
from stillhouse.sampling.prompts import Suffix, SystemPrompt
from stillhouse.stage import Outputs, StageConfig, StageInputs
from stillhouse.training.curriculum import OUTCOMES, Plateau, questions_of, unsolved

ROLLOUTS = "rollouts.jsonl"


class Config(StageConfig):
    """How to train. The defaults are the paper's (Difficulty-Aware Staged RL §4.1), steps aside."""

    split: str = "rl_1"
    """The split of the selected examples whose questions are trained on."""
    steps: int = Field(1600, ge=1)
    """Optimizer steps at most (paper: stage 1 plateaus at step 1600)."""
    plateau: Plateau | None = None
    """End the stage earlier, once the reward has stopped rising."""
    mix: dict[Category, Annotated[float, Field(gt=0)]] | None = None
    """Weight of each category inside every step, such as {math: 2.1, code: 1} (§3.3); null asks questions as they are shuffled."""
    drop_solved: bool = False
    """Leave out questions that the checkpoint's own rl stage solved every time (AM-Thinking-v1 §5.4)."""
    carry_optimizer: bool = False
    """Begin with the optimizer's state of the checkpoint's own rl stage; the paper does not say."""
    keep_optimizer: bool = False
    """Publish the optimizer's state beside the weights, for a further stage: two more copies of the model."""
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
    verify_timeout_s: float = Field(0.9, gt=0)
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
    """Train, and write the checkpoint, some rollouts, and how often each question was solved."""
    from stillhouse.training import loop, models, optimizer, progress, sharding
    from stillhouse.training.grpo import make_trainer
    from stillhouse.training.rewards import Rewards
    from stillhouse.training.tokens import require_chat_template

    questions = questions_of(config.split, inputs.selected, inputs.questions)
    n_split = len(questions)
    if config.drop_solved:
        questions = unsolved(questions, inputs.checkpoint)
    model, tokenizer = models.load(models.FromCheckpoint(), inputs.checkpoint, (), config.seed)
    require_chat_template(tokenizer)
    if config.keep_optimizer:
        sharding.refuse("keep_optimizer")
    with Rewards(questions, config.group_size, config.verify_timeout_s) as rewards:
        trainer = make_trainer(config, inputs, model, tokenizer, questions, rewards)
        if config.carry_optimizer:
            trainer.add_callback(optimizer.carried(inputs.checkpoint))
        loop.train(trainer, inputs, rewards.remember, rewards.recall)
    loop.save(trainer, tokenizer, inputs.output)
    if config.keep_optimizer:
        optimizer.save(trainer, inputs.output)
    (inputs.output / OUTCOMES).write_text(json.dumps(rewards.outcomes), encoding="utf-8")
    (inputs.output / ROLLOUTS).write_text("".join(f"{json.dumps(each)}\n" for each in rewards.rollouts), encoding="utf-8")
    counts = {f"n_rollouts_{kind}": float(n) for kind, n in sorted(rewards.kinds.items())}
    sizes = {"n_questions": len(questions), "n_solved_before": n_split - len(questions), "n_steps": trainer.state.global_step}
    return Outputs(metrics=sizes | counts | progress.final_numbers(trainer), artifacts=[ROLLOUTS])
