"""What sft measures while it trains: pass@1 on a set of questions, the loss on held-out rows, or both."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from datasets import Dataset
from trl import SFTTrainer

from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution import processes
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training import in_training, validation_set
from stillhouse.training.config import SftValidation
from stillhouse.training.data import corpus
from stillhouse.training.data.corpus import HELD_OUT, Corpus
from stillhouse.training.sft import held_out_loss
from stillhouse.training.sft.config import SftConfig, SftInputs
from stillhouse.training.validation_set import ValidationSet
from stillhouse.training.validation_watch import ValidationWatch
from stillhouse.vocabulary.rows import Question

ROWS = "validation_rows"
"""The input of held-out examples, and the directory of their tokens."""


def questions(config: SftConfig, inputs: SftInputs, counts: Mapping[Path, int]) -> list[Question]:
    """The questions to ask, before the model loads; all ranks. ``counts``: examples by part of the selected input.

    Raises BadConfig or NothingToDo if what the config asks for cannot be measured, or would be measured on what is trained on.
    """
    settings = config.validation
    if settings is None:
        given = [name for name in (validation_set.INPUT, ROWS) if getattr(inputs, name)]
        if given:
            msg = f"sft: --input {given[0]} is given, and the config measures nothing; set validation, such as validation.every=100"
            raise BadConfig(msg)
        return []
    if config.max_steps == 0:
        msg = "sft: validation needs a training, and max_steps is 0; leave out one of them"
        raise BadConfig(msg)
    if settings.rows and inputs.validation_rows:
        msg = f"validation: rows {settings.rows:g} and --input {ROWS} are both given; leave out one of them"
        raise BadConfig(msg)
    return processes.from_leader(lambda: _checked(config, settings, inputs, counts))


def _checked(config: SftConfig, settings: SftValidation, inputs: SftInputs, counts: Mapping[Path, int]) -> list[Question]:
    asked = validation_set.chosen(settings, inputs.validation_questions, config.seed)
    validation_set.require_sense(settings, asked, has_rows=bool(settings.rows or inputs.validation_rows))
    trained, source = corpus.trained_questions(config, counts), f"the examples of split {config.split!r}"
    validation_set.refuse_trained([question.question_id for question in asked], trained, source)
    if inputs.validation_rows is not None:
        held = corpus.n_examples(inputs.validation_rows, config.split)
        if not held:
            msg = f"validation: split {config.split!r} has no example in --input {ROWS}; make it by the recipe of `selected`"
            raise NothingToDo(msg)
        validation_set.refuse_trained(sorted(corpus.trained_questions(config, held)), trained, source)
    return asked


def held_out_examples(
    config: SftConfig, inputs: SftInputs, directory: Path, chat: ChatFormat, limit: int
) -> tuple[Corpus | None, dict[str, int]]:
    """The held-out examples, and those dropped by reason; ``directory``: the tokens of the split; all ranks.

    Raises NothingToDo if no example is held out, or none can be learnt.
    """
    settings, rows = config.validation, inputs.validation_rows
    if settings is None or not (settings.rows or rows):
        return None, {}
    if rows is None:
        held, drops = corpus.opened(directory, HELD_OUT), dict[str, int]()
    else:
        counts = corpus.n_examples(rows, config.split)
        place, drops, _ = processes.from_leader(lambda: corpus.make(config, inputs, counts, chat, limit, ROWS))
        held = corpus.opened(place)
    if not len(held):
        msg = "validation: no example is held out that can be learnt; raise validation.rows, or give other rows"
        raise NothingToDo(msg)
    return held, drops


def watch(
    config: SftConfig,
    inputs: SftInputs,
    trainer: SFTTrainer,
    chat: ChatFormat,
    asked: Sequence[Question],
    held: Dataset | None,
) -> ValidationWatch | None:
    """What measures the trainer's model between its steps; None if nothing is measured."""
    if config.validation is None:
        return None
    questions_set = validation_set.made(config, asked, chat, trainer.model, config.max_length) if asked else None
    return ValidationWatch(config.validation, trainer, inputs, partial(_measured, trainer, chat, questions_set, held))


def _measured(
    trainer: SFTTrainer, chat: ChatFormat, asked: ValidationSet | None, held: Dataset | None
) -> dict[str, float]:  # fmt: skip
    metrics: dict[str, float] = {}
    if asked is not None:
        load = partial(in_training.engine, trainer, chat)
        share, is_counted = in_training.share()
        metrics |= validation_set.measure(asked, load, share, is_counted=is_counted)
    if held is not None:
        metrics["loss"] = held_out_loss.loss(trainer, held)
    return metrics
