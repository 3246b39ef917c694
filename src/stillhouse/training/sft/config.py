"""Settings and inputs of the sft stage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stillhouse.execution.contract import ModelDirectory, StageInputs
from stillhouse.models.references import PinnedCode
from stillhouse.training.config import ChatSettings, FromCheckpoint, Init, Lora, SftValidation, UpdateSettings
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.prompts import Suffix, SystemPrompt
from stillhouse.vocabulary.settings import OMIT_DEFAULT

LossOn = Literal["final", "assistant"]


class SftConfig(UpdateSettings, ChatSettings):
    """How to train. The defaults are Stage I of DeepDistill (§4.1); annealing sets packing to false."""

    init: Annotated[Init, Field(discriminator="kind")] = FromCheckpoint()
    """Where the first weights come from: a checkpoint, random numbers (scratch), or a package."""
    split: str = "sft_1"
    """The split of the selected examples to train on."""
    learning_rate: float = Field(8e-5, gt=0)
    """Peak learning rate; it warms up linearly, then falls to 0 by a cosine."""
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    """Share of the steps spent warming up."""
    epochs: float = Field(1, gt=0)
    """Passes over the split; ignored if max_steps is set."""
    max_steps: int | None = Field(None, ge=0)
    """Optimizer steps; 0 writes the initial weights unchanged."""
    batch_size: int = Field(64, ge=1)
    """Sequences per optimizer step."""
    max_length: int = Field(32_768, ge=8)
    """Longest example, in tokens; longer ones, and those longer than the model's context, are dropped and counted."""
    packing: bool = True
    """Pack several examples into one sequence of max_length, isolated from each other; annealing does not pack (§4.2)."""
    loss_on: LossOn = "final"
    """final: learn the last response only; assistant: learn every assistant turn."""
    max_length_rate: float | None = Field(None, ge=0, lt=1, json_schema_extra=OMIT_DEFAULT)
    """Share of training questions whose response may run on after training, past twice the length that was learnt; more is an
    error. null asks for no response."""
    validation: SftValidation | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Measure the model while it trains, publish the best checkpoint, and stop when it gets no better; null measures nothing."""
    lora: Lora | None = None
    """Train low-rank adapters instead of all weights."""
    weight_decay: float = Field(0.0, ge=0)
    """The optimizer's weight decay, of matrices; the papers give no value."""
    system_prompt: SystemPrompt = "think_answer"
    """Name of the system prompt of the training examples."""
    suffix: Suffix = "boxed"
    """Name of the text that follows the question in training."""
    suffixes: dict[Category, Suffix] = Field(default_factory=dict)
    """The same by category, for categories that do not use ``suffix``."""
    trusted_code: tuple[PinnedCode, ...] = Field((), json_schema_extra=OMIT_DEFAULT)
    """Hub models whose own Python code may run, each as hf://ORG/NAME@COMMIT; no other model's code ever does."""
    seed: int = Field(0, ge=0)
    """Decides random weights and the order of the examples."""


@dataclass(frozen=True, kw_only=True)
class SftInputs(StageInputs):
    """Training examples, the checkpoint to start from, and what `validation` measures: questions, or held-out examples."""

    selected: Path | None = None
    checkpoint: ModelDirectory | None = None
    validation_questions: Path | None = None
    validation_rows: Path | None = None
