"""selected (+ checkpoint) -> sft: fine-tune on the examples of one split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stillhouse import rows
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.rows import Category, Dropped, Selected
from stillhouse.sampling.prompts import Suffix, SystemPrompt, asked
from stillhouse.stage import Outputs, StageConfig, StageInputs
from stillhouse.training.lora import Lora
from stillhouse.training.models import FromCheckpoint, Init
from stillhouse.training.tokens import LossOn


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
    """Longest example, in tokens; longer ones are dropped and counted."""
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
    from stillhouse.training import loop, models, progress, sharding
    from stillhouse.training.sft import make_trainer, sequences

    examples = _examples(config, inputs)
    texts = ("\n".join(message["content"] for message in example.messages) for example in examples)
    model, tokenizer = models.load(config.init, inputs.checkpoint, texts, config.seed)
    metrics: dict[str, float] = {"n_parameters": sharding.n_parameters(model)}
    dropped: dict[str, int] = {}
    if config.max_steps != 0:
        kept, dropped = _short_enough(config, inputs, examples, tokenizer)
        trainer = make_trainer(config, inputs, model, tokenizer, kept)
        loop.train(trainer, inputs)
        loop.save(trainer, tokenizer, inputs.output)
        metrics |= {"n_examples": len(kept), "n_steps": trainer.state.global_step} | progress.final_numbers(trainer)
        metrics |= sequences(trainer, config)
    else:
        models.save(model, tokenizer, inputs.output)
    return Outputs(metrics=metrics, dropped=dropped)


def _examples(config: Config, inputs: Inputs) -> list[Selected]:
    if config.max_steps == 0 and (inputs.selected is None or config.init.kind != "scratch"):
        return []  # nothing is trained; only a new tokenizer would learn from examples
    if inputs.selected is None:
        msg = "sft: training needs --input selected=URI, got none (max_steps: 0 writes the initial weights)"
        raise BadConfig(msg)
    examples = [row for row in rows.read(inputs.selected, Selected) if row.split == config.split]
    if not examples:
        msg = f"sft: split {config.split!r} has no example in the selected artifact; check `split` against the recipe of `selected`"
        raise NothingToDo(msg)
    return examples


def _short_enough(
    config: Config, inputs: Inputs, examples: list[Selected], tokenizer: Any
) -> tuple[list[dict[str, list[int]]], dict[str, int]]:
    """The examples as tokens and labels; those over ``max_length`` go to ``dropped/``."""
    from stillhouse.training.tokens import require_chat_template, tokenised

    require_chat_template(tokenizer)
    kept, too_long = [], []
    for example in examples:
        prompt = asked(example.messages[:-1], example.category, config.system_prompt, config.suffix, config.suffixes)
        row = tokenised([*prompt, example.messages[-1]], tokenizer, config.loss_on)
        if len(row["input_ids"]) > config.max_length:
            too_long.append(rows.dropped(example, "too_long", f"{len(row['input_ids'])} tokens"))
        else:
            kept.append(row)
    if not kept:
        msg = f"sft: all {len(examples)} examples are longer than max_length {config.max_length}; raise it"
        raise NothingToDo(msg)
    if too_long:
        rows.write(inputs.dropped, too_long, Dropped)
    return kept, {"too_long": len(too_long)} if too_long else {}
