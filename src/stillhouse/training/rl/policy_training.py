"""The rl stage's work: choose questions, train by GRPO, and write the checkpoint with what a further stage needs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from stillhouse.errors import BadConfig
from stillhouse.execution.contract import Outputs
from stillhouse.execution.tracking import TABLE
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training import loop, lora, models, optimizer, optimizer_choice, progress
from stillhouse.training.config import FromCheckpoint
from stillhouse.training.machine import fsdp, sequence_parallel, zero
from stillhouse.training.rl import early_refusals, on_policy, rl_validation, rollout_prompts, rollouts_ahead
from stillhouse.training.rl.config import RlConfig, RlInputs
from stillhouse.training.rl.curriculum import ASKED, OUTCOMES, asked_before, levels_of, questions_of, thresholds_of, unsolved
from stillhouse.training.rl.grpo_trainer import make_trainer
from stillhouse.training.rl.on_policy import OnPolicyGrpoTrainer
from stillhouse.training.rl.question_choice import QuestionChooser
from stillhouse.training.rl.reward_terms import weighted_sum
from stillhouse.training.rl.reward_terms.weighted_sum import WeightedTerms
from stillhouse.training.rl.rewards import Rewards
from stillhouse.training.rl.rollout_prompts import RolloutPrompt
from stillhouse.training.start_times import StartTimes
from stillhouse.vocabulary.rows import Question

ROLLOUTS = f"rollouts{TABLE}"
"""Beside the weights: sample rollouts of the whole run, as MLflow shows them."""
LAST_STEP = f"last-step{TABLE}"
"""Beside the weights: sample rollouts of the last step, likewise."""
WARM_FROM = 1000
"""Rollouts of a run for which verifiers are loaded before the first step: a smaller one may never need the processes."""


@dataclass(frozen=True)
class QuestionPool:
    """The questions a stage may ask, and how it came to them."""

    questions: dict[str, Question]
    """By question id."""
    times_asked: dict[str, int]
    """How often the stages before asked each question."""
    n_asked_before: int
    n_solved_before: int


def run(config: RlConfig, inputs: RlInputs) -> Outputs:
    """Train, and write the checkpoint, sample rollouts, and how often each question was asked and solved."""
    start = StartTimes()
    _require_settings(config, inputs)
    pool = _question_pool(config, inputs)
    early_refusals.require_environment(config)
    early_refusals.require_rewards(config, pool.questions)
    terms = weighted_sum.load(config)
    terms.preflight()
    asked = rl_validation.questions(config, inputs, pool.questions)
    with zero.deepspeed_environment():
        early_refusals.require_sizes(config)
        start.ended("init")
        model, tokenizer = models.load(FromCheckpoint(), inputs.checkpoint, (), config.seed, config.trusted_code, config.weights)
        optimizer_choice.require_router(model, config)
        chat = models.prepare_chat(model, tokenizer, config)
        start.ended("load")
        if config.lora:
            lora.require_trained_end(model, chat)
        prompts, dropped = rollout_prompts.prompts(config, inputs, pool.questions, model, chat)
        question_ids = rollout_prompts.question_order(config, prompts, pool.times_asked)
        chooser = rollout_prompts.question_chooser(config, inputs, prompts, pool.times_asked)
        start.ended("data")
        trainer, rewards, measured = _train(config, inputs, model, chat, prompts, question_ids, chooser, terms, asked, start)
        published = loop.save(trainer, tokenizer, inputs.output, config.lora, inputs.checkpoint, config.weights)
        if config.keep_optimizer:
            optimizer.save(trainer, inputs.output)
    n_steps = trainer.state.global_step
    n_written = -(-n_steps // config.steps_per_batch) * config.steps_per_batch
    times_asked = chooser.times_asked if chooser else Counter(question_ids[: n_written * config.prompts_per_step])
    _write_records(inputs, rewards, Counter(pool.times_asked) + times_asked)
    sizes = {
        "n_questions": len(prompts), "n_asked_before": pool.n_asked_before, "n_solved_before": pool.n_solved_before,
        "n_steps": n_steps,
    }  # fmt: skip
    carried = {"n_steps_carried": optimizer.steps(inputs.checkpoint)} if config.carry_optimizer else {}
    kinds = {f"n_rollouts_{kind}": float(n) for kind, n in sorted(rewards.kinds.items())}
    failed = {f"n_rollouts_failed_{name}": float(n) for name, n in sorted(rewards.failed.items()) if n}
    metrics = sizes | published | carried | kinds | failed | progress.final_numbers(trainer) | measured
    return Outputs(metrics=metrics, dropped=dropped, artifacts=[ROLLOUTS, LAST_STEP])


def _require_settings(config: RlConfig, inputs: RlInputs) -> None:
    """Raise BadConfig for what cannot work, before anything is read."""
    sequence_parallel.refuse("rl")
    rollouts_ahead.require_support(config)
    lora.require_support(config.lora)
    optimizer_choice.require_support(config, config.lora)
    for field in ("keep_optimizer", "carry_optimizer"):
        if config.lora and getattr(config, field):
            msg = f"{field}: not with lora, whose adapters end with the stage that trained them; set it to false"
            raise BadConfig(msg)
        if fsdp.is_chosen() and getattr(config, field):
            msg = f"{field}: not with FSDP2; choose STILLHOUSE_SHARDING=zero-3, or set it to false"
            raise BadConfig(msg)
        if config.optimizer.kind != "adamw" and getattr(config, field):
            msg = f"{field}: only the state of optimizer.kind adamw carries over, got {config.optimizer.kind}; set it to false"
            raise BadConfig(msg)
    if config.carry_optimizer:
        optimizer.require(inputs.checkpoint)


def _question_pool(config: RlConfig, inputs: RlInputs) -> QuestionPool:
    questions, before = questions_of(config.split, inputs.selected, inputs.questions), asked_before(inputs.checkpoint)
    remaining = unsolved(questions, inputs.checkpoint) if config.drop_solved else questions
    n_asked_before = sum(question_id in before for question_id in questions)
    return QuestionPool(remaining, before, n_asked_before, len(questions) - len(remaining))


def _train(
    config: RlConfig,
    inputs: RlInputs,
    model: PreTrainedModel,
    chat: ChatFormat,
    prompts: Mapping[str, RolloutPrompt],
    question_ids: Sequence[str],
    chooser: QuestionChooser | None,
    terms: WeightedTerms,
    asked: Sequence[Question],
    start: StartTimes,
) -> tuple[OnPolicyGrpoTrainer, Rewards, dict[str, float]]:
    """Train to the end: the trainer with the weights to publish, the rewards with their counts, and what validation measured.

    ``asked``: questions for validation.
    """
    questions = {question_id: prompt.question for question_id, prompt in prompts.items()}
    with terms:
        if config.steps * config.prompts_per_step * config.group_size >= WARM_FROM:
            terms.warm(questions.values())
        levels, thresholds = levels_of(questions, inputs.graded), thresholds_of(config.split, inputs.selected)
        rewards = Rewards(questions, terms, chat.read, levels, thresholds)
        trainer = make_trainer(config, inputs, model, chat, prompts, question_ids, rewards, chooser)
        trainer.start_times = start
        if config.carry_optimizer:
            trainer.add_callback(optimizer.CarriedOptimizer(trainer, inputs.checkpoint))
        with on_policy.unverified_warnings_silenced():
            memory = on_policy.memory(rewards, trainer.logprob_check, chooser)
            remember, recall = rollouts_ahead.remembered(trainer, *memory)
            watch = rl_validation.watch(config, inputs, trainer, chat, asked)
            measured = loop.train(trainer, inputs, remember, recall, watch)
    return trainer, rewards, measured


def _write_records(inputs: RlInputs, rewards: Rewards, times_asked: Mapping[str, int]) -> None:
    """Write what a further stage needs to know of this one, and the sample rollouts."""
    (inputs.output / OUTCOMES).write_text(json.dumps(rewards.outcomes), encoding="utf-8")
    (inputs.output / ASKED).write_text(json.dumps(times_asked), encoding="utf-8")
    for name, rollouts in ((ROLLOUTS, rewards.rollouts), (LAST_STEP, rewards.last_step)):
        (inputs.output / name).write_text(on_policy.table(rollouts), encoding="utf-8")
