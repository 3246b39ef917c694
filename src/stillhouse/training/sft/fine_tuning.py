"""The sft stage's work: load a model, tokenise the examples of one split, train, and write the checkpoint."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution import processes
from stillhouse.execution.contract import Outputs
from stillhouse.training import loop, models, progress
from stillhouse.training.data import corpus
from stillhouse.training.data.corpus import Corpus
from stillhouse.training.data.tokens import require_chat_template
from stillhouse.training.machine import zero
from stillhouse.training.sft.config import SftConfig, SftInputs
from stillhouse.training.sft.sft_trainer import make_trainer, sequence_metrics


def run(config: SftConfig, inputs: SftInputs) -> Outputs:
    """Train, and write the checkpoint."""
    with zero.deepspeed_environment():
        counts = _example_counts(config, inputs)
        examples = corpus.examples(counts, config.split)
        texts = ("\n".join(turn["content"] for turn in example.messages) for example in examples)
        model, tokenizer = models.load(config.init, inputs.checkpoint, texts, config.seed, config.trusted_code)
        metrics: dict[str, float] = {"n_parameters": zero.n_parameters(model)}
        if config.max_steps == 0:
            models.save(model, tokenizer, inputs.output)
            return Outputs(metrics=metrics)
        learnt, dropped = _tokenised(config, inputs, counts, model, tokenizer)
        return Outputs(metrics=metrics | _train(config, inputs, model, tokenizer, learnt), dropped=dropped)


def _train(
    config: SftConfig, inputs: SftInputs, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, learnt: Corpus
) -> dict[str, float]:
    """Train on the corpus and write the checkpoint; returns the metrics."""
    trainer = make_trainer(config, inputs, model, tokenizer, learnt)
    loop.train(trainer, inputs)
    loop.save(trainer, tokenizer, inputs.output)
    counts = {"n_examples": len(learnt), "n_steps": trainer.state.global_step}
    return counts | progress.final_numbers(trainer) | sequence_metrics(trainer, config, learnt)


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
    config: SftConfig, inputs: SftInputs, counts: dict[Path, int], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> tuple[Corpus, dict[str, int]]:
    """The corpus, made once per node, and drops by reason; examples over ``max_length`` or the model's context go to ``dropped/``.

    Raises EngineFailed if the tokenizer has no chat template, NothingToDo if all examples are too long.
    """
    require_chat_template(tokenizer)
    context = getattr(model.config, "max_position_embeddings", None) or config.max_length
    limit = min(config.max_length, context)
    directory, dropped = processes.from_leader(lambda: corpus.make(config, inputs, counts, tokenizer, limit))
    if dropped.get("too_long") == (n := sum(counts.values())):
        bound = f"max_length {limit}; raise it" if limit == config.max_length else f"the {limit} tokens that the model takes"
        msg = f"sft: all {n} examples are longer than {bound}"
        raise NothingToDo(msg)
    return corpus.opened(directory), dropped
