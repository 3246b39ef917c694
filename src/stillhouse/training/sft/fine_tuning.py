"""The sft stage's work: load a model, tokenise the examples of one split, train, and write the checkpoint."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution import processes
from stillhouse.execution.contract import Outputs
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training import loop, lora, models, optimizer_choice, progress
from stillhouse.training.data import corpus, inspection, shown_tokens
from stillhouse.training.data.batches import passes
from stillhouse.training.data.corpus import Corpus
from stillhouse.training.machine import sequence_parallel, zero
from stillhouse.training.sft import sft_validation
from stillhouse.training.sft.config import SftConfig, SftInputs
from stillhouse.training.sft.sft_trainer import dataset, make_trainer, sequence_metrics
from stillhouse.training.sft.stop_check import require_stops
from stillhouse.training.start_times import StartTimes
from stillhouse.vocabulary.rows import Question

TOKENS_PAGE = "learnt-tokens.html"
"""Beside the weights: the tokens of the first examples, and which of them were learnt."""
N_SHOWN = 3
"""Examples on that page."""


@dataclass(frozen=True)
class TokenisedExamples:
    """The examples of the split."""

    learnt: Corpus
    held_out: Corpus | None
    """Those that are not trained on."""
    dropped: dict[str, int]
    """Rows by reason."""


def run(config: SftConfig, inputs: SftInputs) -> Outputs:
    """Train, and write the checkpoint."""
    start = StartTimes()
    _require_settings(config)
    with zero.deepspeed_environment():
        counts = _example_counts(config, inputs)
        asked = sft_validation.questions(config, inputs, counts)
        examples = corpus.examples(counts, config.split)
        texts = ("\n".join(turn["content"] for turn in example.messages) for example in examples)
        start.ended("init")
        model, tokenizer = models.load(
            config.init, inputs.checkpoint, texts, config.seed, config.trusted_code, config.weights, lora.quantization(config.lora),
            packed=config.packing,
        )  # fmt: skip
        metrics: dict[str, float] = {"n_parameters": zero.n_parameters(model)}
        if config.max_steps == 0:
            models.save(model, tokenizer, inputs.output, dtype=config.weights)
            return Outputs(metrics=metrics)
        optimizer_choice.require_router(model, config)
        chat = models.prepare_chat(model, tokenizer, config)
        start.ended("load")
        if config.lora:
            lora.require_trained_end(model, chat)
        examples_of_split = _tokenised(config, inputs, counts, model, chat)
        _write_tokens(inputs, model, chat, examples_of_split.learnt)
        start.ended("data")
        metrics |= _train(config, inputs, model, chat, examples_of_split, asked, start)
        return Outputs(metrics=metrics, dropped=examples_of_split.dropped, artifacts=[TOKENS_PAGE])


def _require_settings(config: SftConfig) -> None:
    """Raise BadConfig for what would stop the training only once its examples are tokenised."""
    passes(config.batch_size)
    sequence_parallel.require_support(packing=config.packing)
    lora.require_support(config.lora)
    optimizer_choice.require_support(config, config.lora)


def _train(
    config: SftConfig,
    inputs: SftInputs,
    model: PreTrainedModel,
    chat: ChatFormat,
    examples: TokenisedExamples,
    asked: Sequence[Question],
    start: StartTimes,
) -> dict[str, float]:
    """Train on the examples and write the checkpoint; returns the metrics. ``asked``: questions for validation."""
    learnt, held = examples.learnt, examples.held_out
    trainer = make_trainer(config, inputs, model, chat.tokenizer, learnt)
    trainer.start_times = start
    rows = dataset(config, held) if held is not None else None
    measured = loop.train(trainer, inputs, watch=sft_validation.watch(config, inputs, trainer, chat, asked, rows))
    stops = {} if config.max_length_rate is None else require_stops(trainer, chat, learnt, config.max_length_rate)
    published = loop.save(trainer, chat.tokenizer, inputs.output, config.lora, inputs.checkpoint, config.weights)
    counts = {"n_examples": len(learnt), "n_steps": trainer.state.global_step}
    counts |= {"n_examples_held_out": len(held)} if held is not None else {}
    return counts | published | stops | progress.final_numbers(trainer) | measured | sequence_metrics(trainer, config, learnt)


def _write_tokens(inputs: SftInputs, model: PreTrainedModel, chat: ChatFormat, learnt: Corpus) -> None:
    """Write the page of the first examples' tokens, on rank 0."""
    if processes.rank() == 0:
        numbers = range(min(N_SHOWN, len(learnt)))
        examples = [
            shown_tokens.shown(learnt[number]["input_ids"].tolist(), learnt.spans(number), chat.tokenizer) for number in numbers
        ]
        shown_tokens.write_page(
            inputs.output / TOKENS_PAGE, "What is learnt", inspection.facts(chat, model.generation_config), examples
        )


def _example_counts(config: SftConfig, inputs: SftInputs) -> dict[Path, int]:
    """The number of examples in each part of the artifact; empty if no example is needed.

    Raises BadConfig if examples are needed and there is no selected input, NothingToDo if the split has none.
    """
    if config.max_steps == 0 and (inputs.selected is None or config.init.kind != "scratch"):
        return {}  # nothing is trained; only a new tokenizer would learn from examples
    if inputs.selected is None:
        msg = "sft: training needs --input selected=URI, got none (max_steps: 0 writes the initial weights)"
        raise BadConfig(msg)
    counts = corpus.n_examples(inputs.selected, config.split)
    if not counts:
        msg = f"sft: split {config.split!r} has no example in the selected artifact; check `split` against the recipe of `selected`"
        raise NothingToDo(msg)
    return counts


def _tokenised(
    config: SftConfig, inputs: SftInputs, counts: dict[Path, int], model: PreTrainedModel, chat: ChatFormat
) -> TokenisedExamples:
    """The examples, tokenised once per node; rows over ``max_length`` or the model's context go to ``dropped/``.

    Raises NothingToDo if no row can be learnt.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or config.max_length
    limit = min(config.max_length, context)
    directory, dropped, first = processes.from_leader(lambda: corpus.make(config, inputs, counts, chat, limit))
    if (n := sum(dropped.values())) == sum(counts.values()):
        bound = f"max_length {limit}; raise it" if limit == config.max_length else f"the {limit} tokens that the model takes"
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        msg = f"sft: none of the {n} examples can be learnt ({reasons}); the first: {first}"
        raise NothingToDo(f"sft: all {n} examples are longer than {bound}" if set(dropped) == {"too_long"} else msg)
    learnt = corpus.opened(directory)
    if not len(learnt):
        msg = f"sft: all examples of split {config.split!r} are held out for validation; lower validation.rows"
        raise NothingToDo(msg)
    held_out, more = sft_validation.held_out_examples(config, inputs, directory, chat, limit)
    return TokenisedExamples(learnt, held_out, dict(Counter(dropped) + Counter(more)))
