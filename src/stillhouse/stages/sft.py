"""selected (+ checkpoint) -> sft: fine-tune on the examples of one split."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution import processes
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.training.data.tokens import LossOn
from stillhouse.training.lora import Lora
from stillhouse.training.models import FromCheckpoint, Init
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.prompts import Suffix, SystemPrompt
from stillhouse.vocabulary.settings import StageConfig

if TYPE_CHECKING:
    from stillhouse.training.data.corpus import Corpus


class Config(StageConfig):
    """How to train. The defaults are Stage I of DeepDistill (§4.1); annealing sets packing to false."""

    init: Annotated[Init, Field(discriminator="kind")] = FromCheckpoint()
    """Where the first weights come from: a checkpoint, nothing (scratch), or a package."""
    split: str = "sft_1"
    """The split of the selected examples to train on."""
    learning_rate: float = Field(8e-5, gt=0)
    """Peak learning rate; warms up linearly, then falls to 0 by a cosine."""
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    """Share of the steps spent warming up."""
    epochs: float = Field(1, gt=0)
    """Passes over the split; ignored where max_steps is given."""
    max_steps: int | None = Field(None, ge=0)
    """Optimizer steps; 0 writes the initial weights as they are."""
    batch_size: int = Field(64, ge=1)
    """Sequences to an optimizer step."""
    max_length: int = Field(32_768, ge=8)
    """Longest example, in tokens; longer ones, and those the model has no positions for, are dropped and counted."""
    packing: bool = True
    """Put several examples into one sequence of max_length, without seeing each other; annealing does not (§4.2)."""
    loss_on: LossOn = "final"
    """final: the last response alone is learnt; assistant: every turn of the assistant's."""
    lora: Lora | None = None
    """Train low-rank adapters instead of all weights."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's weight decay; the papers give no value."""
    system_prompt: SystemPrompt = "think_answer"
    """The system prompt the examples are trained with, by name."""
    suffix: Suffix = "boxed"
    """What follows the question in training, by name."""
    suffixes: dict[Category, Suffix] = Field(default_factory=dict)
    """What follows the questions of a category, where it is not ``suffix``."""
    seed: int = Field(0, ge=0)
    """Decides random weights and the order of the examples."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Training examples, and the checkpoint to go on from."""

    selected: Path | None = None
    checkpoint: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Train, and write the checkpoint."""
    from stillhouse.training import loop, models, progress
    from stillhouse.training.data import corpus
    from stillhouse.training.machine import zero
    from stillhouse.training.sft.sft_trainer import make_trainer, sequences

    counted = _counted(config, inputs)
    texts = ("\n".join(turn["content"] for turn in each.messages) for each in corpus.examples(counted, config.split))
    model, tokenizer = models.load(config.init, inputs.checkpoint, texts, config.seed)
    metrics: dict[str, float] = {"n_parameters": zero.n_parameters(model)}
    dropped: dict[str, int] = {}
    if config.max_steps != 0:
        learnt, dropped = _tokenised(config, inputs, counted, model, tokenizer)
        trainer = make_trainer(config, inputs, model, tokenizer, learnt)
        loop.train(trainer, inputs)
        loop.save(trainer, tokenizer, inputs.output)
        metrics |= {"n_examples": len(learnt), "n_steps": trainer.state.global_step} | progress.final_numbers(trainer)
        metrics |= sequences(trainer, config, learnt)
    else:
        models.save(model, tokenizer, inputs.output)
    return Outputs(metrics=metrics, dropped=dropped)


def _counted(config: Config, inputs: Inputs) -> dict[Path, int]:
    """How many examples each part of the artifact has."""
    from stillhouse.training.data.corpus import n_examples

    if config.max_steps == 0 and (inputs.selected is None or config.init.kind != "scratch"):
        return {}  # nothing is trained; only a new tokenizer would learn from examples
    if inputs.selected is None:
        msg = "sft: training needs --input selected=URI, got none (max_steps: 0 writes the initial weights)"
        raise BadConfig(msg)
    counted = n_examples(inputs.selected, config.split)
    if not counted:
        msg = f"sft: split {config.split!r} has no example in the selected artifact; check `split` against the recipe of `selected`"
        raise NothingToDo(msg)
    return counted


def _tokenised(
    config: Config, inputs: Inputs, counted: dict[Path, int], model: Any, tokenizer: Any
) -> "tuple[Corpus, dict[str, int]]":
    """The examples as tokens, made once a node; those over ``max_length``, or the model's own, go to ``dropped/``."""
    from stillhouse.training.data import corpus
    from stillhouse.training.data.tokens import require_chat_template

    require_chat_template(tokenizer)
    context = getattr(model.config, "max_position_embeddings", None) or config.max_length
    limit = min(config.max_length, context)
    directory, dropped = processes.from_leader(lambda: corpus.make(config, inputs, counted, tokenizer, limit))
    if dropped.get("too_long") == (n := sum(counted.values())):
        which = f"max_length {limit}; raise it" if limit == config.max_length else f"the {limit} tokens that the model takes"
        msg = f"sft: all {n} examples are longer than {which}"
        raise NothingToDo(msg)
    return corpus.opened(directory), dropped
