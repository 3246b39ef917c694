"""questions + responses + verified + screened + graded -> selected: what each training stage learns from."""

import json
from dataclasses import dataclass
from pathlib import Path

from stillhouse.artifacts import frames
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.selection import algorithm_1, examples
from stillhouse.selection.composition import Composition
from stillhouse.selection.decision import decide
from stillhouse.selection.splits import Plan
from stillhouse.vocabulary.rows import Selected

SCHEMA_VERSION = 3
HTML, SWEEP = "dataset.html", "sweep.json"


class Config(Plan):
    """The splits to make, and how their examples are chosen."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """All that is known of the questions; what the config's splits do not need may be left out."""

    questions: Path
    responses: tuple[Path, ...] = ()
    verified: Path | None = None
    screened: Path | None = None
    graded: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Choose. Raises MissingInput for a split whose inputs are not there, NothingToDo for a split that would be empty."""
    from stillhouse.reporting.dataset import collect, write_dataset

    _refuse_incomplete(config, inputs)
    decision = decide(config, inputs.questions, inputs.responses, inputs.verified, inputs.screened, inputs.graded)
    composition = Composition()
    texts = (batch for split in decision.splits for batch in examples.from_split(split, config, inputs.questions, inputs.responses))
    inputs.progress(0, 1, "splits")
    frames.write(inputs.output, composition.counted(texts), Selected)
    dropped = frames.write_dropped(inputs.dropped, decision.drops(config.mode, composition))
    sweep = algorithm_1.sweep(decision.learnt.choices, config).to_dicts() if decision.learnt else []
    (inputs.output / SWEEP).write_text(json.dumps(sweep), encoding="utf-8")
    write_dataset(inputs.output / HTML, "What was selected", collect(decision, composition, dropped, sweep, inputs.graded))
    metrics = {f"n_{name}": float(count) for name, count in decision.outcomes().items()}
    metrics |= {f"n_examples/{split}": float(count) for split, count in composition.by_split().items()}
    return Outputs(metrics=metrics, dropped=dropped, artifacts=[HTML, SWEEP])


def _refuse_incomplete(config: Config, inputs: Inputs) -> None:
    if inputs.shard.count > 1:
        msg = f"selected: --shard {inputs.shard.name} cannot be: annealing ranks all questions; leave it out"
        raise BadConfig(msg)
    learnt = config.sft_split or config.anneal_split
    if learnt and not (inputs.responses and inputs.verified):
        msg = f"selected: split {learnt} needs --input responses=URI and --input verified=URI; give them, or set the split to null"
        raise MissingInput(msg)
    if config.rl_splits and inputs.graded is None:
        msg = f"selected: RL split {next(iter(config.rl_splits))} needs --input graded=URI, got none"
        raise MissingInput(msg)
