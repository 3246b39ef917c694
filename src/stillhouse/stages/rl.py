"""selected + questions + checkpoint (+ graded) -> rl: GRPO on one difficulty stage's questions, rewarded by the verifier."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.execution.tracking import TABLE
from stillhouse.training.rl.curriculum import ASKED, OUTCOMES, Plateau, asked_before, levels_of, questions_of, unsolved
from stillhouse.training.rl.rollout_engine import Engine
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.prompts import Suffix, SystemPrompt
from stillhouse.vocabulary.settings import StageConfig

ROLLOUTS = f"rollouts{TABLE}"


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
    engine: Engine = "transformers"
    """What writes the rollouts: transformers, or vllm, which is many times as fast and has to be handed the weights every step."""
    system_prompt: SystemPrompt = "think_answer"
    """The system prompt of the rollouts, by name."""
    suffix: Suffix = "boxed"
    """What follows the question, by name."""
    suffixes: dict[Category, Suffix] = Field(default_factory=dict)
    """What follows the questions of a category, where it is not ``suffix``."""
    seed: int = Field(0, ge=0)
    """Decides the order of the questions and the rollouts."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The selected examples, their questions with references, the initial policy, and grades, to log the reward by level."""

    selected: Path
    questions: Path
    checkpoint: Path
    graded: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Train, and write the checkpoint, some rollouts, and how often each question was asked and solved."""
    from stillhouse.training import loop, models, optimizer, progress
    from stillhouse.training.data.tokens import require_chat_template
    from stillhouse.training.rl import on_policy, rollout_prompts
    from stillhouse.training.rl.curriculum import thresholds_of
    from stillhouse.training.rl.grpo_trainer import make_trainer
    from stillhouse.training.rl.rewards import Rewards

    if config.carry_optimizer:
        optimizer.require(inputs.checkpoint)
    questions = questions_of(config.split, inputs.selected, inputs.questions)
    n_split, before = len(questions), asked_before(inputs.checkpoint)
    n_asked = sum(each in before for each in questions)
    if config.drop_solved:
        questions = unsolved(questions, inputs.checkpoint)
    n_solved = n_split - len(questions)
    model, tokenizer = models.load(models.FromCheckpoint(), inputs.checkpoint, (), config.seed)
    require_chat_template(tokenizer)
    prompts, dropped = rollout_prompts.prompts(config, inputs, questions, model, tokenizer)
    asked = rollout_prompts.order(config, prompts, before)
    levels, thresholds = levels_of(questions, inputs.graded), thresholds_of(config.split, inputs.selected)
    with Rewards(questions, config.verify_timeout_s, levels, thresholds) as rewards:
        trainer = make_trainer(config, inputs, model, tokenizer, prompts, asked, rewards)
        if config.carry_optimizer:
            trainer.add_callback(optimizer.carried(trainer, inputs.checkpoint))
        loop.train(trainer, inputs, *on_policy.memory(rewards, trainer.probe))
    loop.save(trainer, tokenizer, inputs.output)
    if config.keep_optimizer:
        optimizer.save(trainer, inputs.output)
    n_steps = trainer.state.global_step
    times = Counter(before) + Counter(asked[: n_steps * config.prompts_per_step])
    (inputs.output / OUTCOMES).write_text(json.dumps(rewards.outcomes), encoding="utf-8")
    (inputs.output / ASKED).write_text(json.dumps(times), encoding="utf-8")
    (inputs.output / ROLLOUTS).write_text(on_policy.table(rewards.rollouts), encoding="utf-8")
    counts = {f"n_rollouts_{kind}": float(n) for kind, n in sorted(rewards.kinds.items())}
    sizes = {"n_questions": len(prompts), "n_asked_before": n_asked, "n_solved_before": n_solved, "n_steps": n_steps}
    if config.carry_optimizer:
        sizes["n_steps_carried"] = optimizer.steps(inputs.checkpoint)
    return Outputs(metrics=sizes | counts | progress.final_numbers(trainer), dropped=dropped, artifacts=[ROLLOUTS])
