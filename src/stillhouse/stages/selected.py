"""questions + responses + verified + screened + graded -> selected: what each training stage learns from."""

import json

from stillhouse.errors import MissingInput
from stillhouse.execution.contract import Outputs
from stillhouse.selection.config import SelectedConfig, SelectedInputs
from stillhouse.vocabulary.rows import Selected

SCHEMA_VERSION = 4
STEP_INPUTS: dict[str, tuple[str, ...]] = {
    "map": ("questions", "responses", "verified", "screened", "graded"), "combine": (),
    "apply": ("questions", "responses", "verified", "graded"),
}  # fmt: skip
HTML, SWEEP = "dataset.html", "sweep.json"
Config = SelectedConfig
Inputs = SelectedInputs


def run(config: SelectedConfig, inputs: SelectedInputs) -> Outputs:
    """Choose the examples of every split, and write them with a page about them.

    Raises MissingInput for a split that lacks an input, NothingToDo for a split that would be empty, BadRows for rows that do not
    belong together.
    """
    from stillhouse.artifacts import frames
    from stillhouse.reporting.dataset import collect, write_dataset
    from stillhouse.selection import algorithm_1, decision, examples, shard_selection
    from stillhouse.selection.composition import Composition

    _refuse_incomplete(config, inputs)
    decide = decision.decide if inputs.shard.count == 1 else shard_selection.decided
    selection, composition = decide(config, inputs), Composition()
    batches = (batch for split in selection.splits for batch in examples.from_split(split, config, inputs))
    inputs.progress(0, 1, "splits")
    frames.write(inputs.output, composition.counted(batches), Selected)
    dropped = frames.write_dropped(inputs.dropped, selection.drops(config.mode, composition))
    sweep = algorithm_1.sweep(selection.sft.choices).to_dicts() if selection.sft else []
    (inputs.output / SWEEP).write_text(json.dumps(sweep), encoding="utf-8")
    write_dataset(inputs.output / HTML, "What was selected", collect(selection, composition, dropped, sweep, inputs.graded))
    metrics = {f"n_{name}": float(count) for name, count in selection.outcomes().items()}
    metrics |= {f"n_examples/{split}": float(count) for split, count in composition.by_split().items()}
    return Outputs(metrics=metrics, dropped=dropped, artifacts=[HTML, SWEEP])


def needs_steps(config: SelectedConfig) -> bool:
    """Limits, and the thresholds that verdicts state, hold for all shards together."""
    return True


def map_shard(config: SelectedConfig, inputs: SelectedInputs) -> Outputs:
    """Find the candidates among a share of the questions."""
    from stillhouse.selection import shard_selection

    _refuse_incomplete(config, inputs)
    return shard_selection.map_share(config, inputs)


def combine(config: SelectedConfig, inputs: SelectedInputs) -> Outputs:
    """Rank the candidates of all shards."""
    from stillhouse.selection import shard_selection

    return shard_selection.combine(config, inputs)


def _refuse_incomplete(config: SelectedConfig, inputs: SelectedInputs) -> None:
    sft_split = config.sft_split or config.anneal_split
    if sft_split and not (inputs.responses and inputs.verified):
        msg = f"selected: split {sft_split} needs --input responses=URI and verified=URI; pass them, or set the split to null"
        raise MissingInput(msg)
    if config.rl_splits and inputs.graded is None:
        msg = f"selected: RL split {next(iter(config.rl_splits))} needs --input graded=URI, got none"
        raise MissingInput(msg)
