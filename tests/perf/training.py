"""The cost of the sft and rl stages, and of bare TRL on the same rows with the same settings, on CPUs and GPUs.

Libraries are imported in functions, since they read what ``quiet`` sets when they are imported.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.stages import rl, sft
from stillhouse.training.config import FromCheckpoint, FromScratch
from stillhouse.vocabulary.rows import Question, Selected

PROMPTS = {"system_prompt": "none", "suffix": "none"}


@dataclass(frozen=True)
class Scale:
    """The size of a comparison."""

    init: FromScratch
    sft: sft.Config
    rl: rl.Config
    thought_words: int
    """Words of thinking in an example."""


CPU = Scale(  # the model of the laptop profile
    FromScratch(kind="scratch", hidden_size=96, intermediate_size=288, layers=4, heads=3, vocabulary=384, context=256),
    sft.Config(init=FromCheckpoint(), max_steps=16, batch_size=16, max_length=128, learning_rate=1e-3, **PROMPTS),
    rl.Config(steps=5, group_size=16, prompts_per_step=8, max_tokens=32, learning_rate=1e-4, **PROMPTS),
    thought_words=8,
)
GPU = Scale(
    FromScratch(kind="scratch", hidden_size=2048, intermediate_size=8192, layers=16, heads=16, vocabulary=32_000, context=4096),
    sft.Config(init=FromCheckpoint(), max_steps=20, batch_size=8, max_length=4096, **PROMPTS),
    rl.Config(steps=6, group_size=16, prompts_per_step=8, max_tokens=512, **PROMPTS),
    thought_words=700,
)
"""A model of 0.9B parameters with random weights; its speed in training does not depend on them."""


def with_engine(scale: Scale, engine: str) -> Scale:
    """The same, with rollouts by another engine on both sides."""
    return replace(scale, rl=scale.rl.model_copy(update={"engine": engine}))


@dataclass
class Cost:
    """Wall and CPU seconds per step, without the first step, which also sets up, and tokens in all steps."""

    tokens: float = 0.0
    last: dict[str, float] = field(default_factory=dict)
    """Metrics logged for the last step."""
    ends: list[tuple[float, float]] = field(default_factory=list)
    """Wall and CPU clock at the end of each step."""

    def end(self) -> None:
        """Note the end of a step."""
        self.ends.append((time.perf_counter(), time.process_time()))

    @property
    def step_s(self) -> float:
        """Wall seconds per step."""
        return (self.ends[-1][0] - self.ends[0][0]) / (len(self.ends) - 1)

    @property
    def step_cpu_s(self) -> float:
        """CPU seconds of this process per step."""
        return (self.ends[-1][1] - self.ends[0][1]) / (len(self.ends) - 1)

    @property
    def step_tokens(self) -> float:
        """Tokens per step."""
        return self.tokens / len(self.ends)


def prepare(directory: Path, scale: Scale) -> None:
    """Questions, examples of both splits, and a checkpoint of the scale's size."""
    asked = testing.questions(240)
    thought = " ".join(f"{number} is not it." for number in range(scale.thought_words // 4 + 1))
    learnt = [
        testing.selected(each, messages=[
            *each.messages, {"role": "assistant", "content": f"<think>{thought}</think><answer>{each.reference_answer}</answer>"}
        ])
        for each in asked
    ]  # fmt: skip
    tables.write(directory / "questions", asked, Question)
    tables.write(directory / "selected", [*learnt, *(testing.selected(each, "rl_1") for each in asked)], Selected)
    inputs = sft.Inputs(scratch=directory / "initial", selected=directory / "selected")
    sft.run(scale.sft.model_copy(update={"init": scale.init, "max_steps": 0}), inputs)


def stage_sft(directory: Path, scale: Scale) -> Cost:
    """The stage."""
    inputs = _inputs(sft.Inputs, directory, selected=directory / "selected", checkpoint=directory / "initial" / "output")
    return _of_stage(lambda given: sft.run(scale.sft, given), inputs)


def stage_rl(directory: Path, scale: Scale) -> Cost:
    """The stage."""
    inputs = _inputs(
        rl.Inputs, directory, selected=directory / "selected", questions=directory / "questions",
        checkpoint=directory / "initial" / "output",
    )  # fmt: skip
    return _of_stage(lambda given: rl.run(scale.rl, given), inputs)


def trl_sft(directory: Path, scale: Scale, attention: str | None = None) -> Cost:
    """TRL alone: the same examples, tokenised as TRL wants them, with an attention backend set by hand."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    config = scale.sft
    model, tokenizer = _model(directory)
    if attention:
        model.set_attn_implementation(attention)
    arguments = SFTConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="cosine", warmup_steps=config.warmup_ratio,
        max_steps=config.max_steps, max_length=config.max_length, packing=config.packing, weight_decay=config.weight_decay,
        seed=config.seed, **_machine(directory, config.batch_size),
    )  # fmt: skip
    examples = [row for row in tables.read(directory / "selected", Selected) if row.split == config.split]
    made = [{"prompt": row.messages[:-1], "completion": row.messages[-1:]} for row in examples]
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(made), processing_class=tokenizer)
    return _of_trainer(trainer)


def trl_rl(directory: Path, scale: Scale) -> Cost:
    """TRL alone: the same questions, rewarded by a function that compares the answer's text."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from stillhouse.training.rl import rollout_engine

    config = scale.rl
    model, tokenizer = _model(directory)
    batch = config.prompts_per_step * config.group_size
    arguments = GRPOConfig(
        learning_rate=config.learning_rate, lr_scheduler_type="constant", max_steps=config.steps, num_generations=config.group_size,
        loss_type="grpo", max_completion_length=config.max_tokens, beta=config.kl_coefficient, seed=config.seed,
        entropy_coef=config.entropy_coefficient, steps_per_generation=_passes(batch)[1], top_k=0,
        **rollout_engine.arguments(config.engine, scale.init.context), **_machine(directory, batch),
    )  # fmt: skip
    asked = [
        {"prompt": each.messages, "answer": f"<answer>{each.reference_answer}</answer>"}
        for each in tables.read(directory / "questions", Question)
    ]  # fmt: skip

    def reward(completions: Any, answer: list[str], **_: Any) -> list[float]:
        return [float(wanted in said[-1]["content"]) for said, wanted in zip(completions, answer, strict=True)]

    trainer = GRPOTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(asked), processing_class=tokenizer, reward_funcs=[reward]
    )
    return _of_trainer(trainer)


def _inputs(kind: Any, directory: Path, **given: Path) -> Any:
    scratch = directory / f"scratch-{time.monotonic_ns()}"
    scratch.mkdir()
    return kind(scratch=scratch, **given)


def _of_stage(run: Callable[[Any], Any], inputs: Any) -> Cost:
    cost, logged = Cost(), dict[str, float]()
    run(replace(inputs, log=lambda numbers, step=None: logged.update(numbers), progress=lambda *_: cost.end()))
    cost.last = {name.removeprefix("train/"): value for name, value in logged.items()}
    cost.tokens = cost.last["num_tokens"]
    return cost


def _of_trainer(trainer: Any) -> Cost:
    from transformers import PrinterCallback, TrainerCallback

    cost = Cost()

    class Clock(TrainerCallback):
        """Notes the end of every step."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            cost.end()

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    trainer.train()
    cost.last = {name: value for entry in trainer.state.log_history for name, value in entry.items()}
    cost.tokens = cost.last["num_tokens"]
    return cost


def _model(directory: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = directory / "initial" / "output"
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32), AutoTokenizer.from_pretrained(path)


def _passes(batch: int) -> tuple[int, int]:
    from stillhouse.training.data.batches import passes

    return passes(batch)


def _machine(directory: Path, batch: int) -> dict[str, Any]:
    """Trainer arguments about the machine, for both sides."""
    from stillhouse.training.progress import machine_arguments

    rows_each, accumulation = _passes(batch)
    return machine_arguments() | {
        "output_dir": str(directory / "bare"), "save_strategy": "no", "logging_steps": 1, "per_device_train_batch_size": rows_each,
        "gradient_accumulation_steps": accumulation,
    }  # fmt: skip


def n_parameters(directory: Path) -> int:
    """The number of parameters of the prepared checkpoint."""
    return int(_model(directory)[0].num_parameters())


def flops_per_token(directory: Path, scale: Scale) -> float:
    """Floating-point operations per trained token: 6 per parameter, and attention (PaLM, App. B)."""
    config = json.loads((directory / "initial" / "output" / "config.json").read_text())
    attention = 12 * config["num_hidden_layers"] * config["hidden_size"] * scale.sft.max_length
    return 6.0 * n_parameters(directory) + attention


def quiet() -> None:
    """Turn off progress bars and the hub."""
    os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"})
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
