"""questions + responses + verified + screened + graded -> selected: what each training stage learns from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from stillhouse import examples, rows
from stillhouse.candidates import candidates, left_over, not_passing
from stillhouse.errors import BadConfig, MissingInput, NothingToDo
from stillhouse.rows import Dropped, Graded, Question, Response, Screened, Selected, Verified
from stillhouse.selection import Choice, Rules, annealing, stage_1
from stillhouse.stage import Outputs, StageInputs


class Config(Rules):
    """The splits to make, and how their examples are chosen."""

    sft_split: str | None = "sft_1"
    """Split of Algorithm 1 (DeepDistill §3); null makes none."""
    anneal_split: str | None = "anneal"
    """Split of the annealing selection (DeepDistill §3.2); null makes none."""
    rl_splits: dict[str, tuple[Literal[1, 2, 3], ...]] = Field(default_factory=dict)
    """RL splits: the difficulty levels whose questions each takes (Staged RL §4.1: level 2, then level 3)."""
    original_splits: dict[str, str] = Field(default_factory=dict)
    """Splits trained on the responses questions came with: the source each takes."""
    teacher: str | None = None
    """Model whose responses are learnt from (DeepDistill: R1 alone); null takes all models'."""
    mode: examples.Mode = "full"
    """full: the whole response; answer: its answer alone (Leveraging Reasoning Model Answers §2.2)."""

    @model_validator(mode="after")
    def _distinct_splits(self) -> "Config":
        names = [name for name in (self.sft_split, self.anneal_split, *self.rl_splits, *self.original_splits) if name]
        if len(set(names)) < len(names) or not names:
            msg = f"splits need one name each, and at least one there has to be: {', '.join(names) or 'none'}"
            raise ValueError(msg)
        return self


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
    _refuse_incomplete(config, inputs)
    questions = {row.question_id: row for row in rows.read(inputs.questions, Question)}
    grades = {row.question_id: row for row in rows.read(inputs.graded, Graded)} if inputs.graded else {}
    responses = list(chain.from_iterable(rows.read(path, Response) for path in inputs.responses)) if inputs.verified else []
    verified = rows.read(inputs.verified, Verified) if inputs.verified else ()
    screened = rows.read(inputs.screened, Screened) if inputs.screened else None
    scored, drops = candidates(questions, responses, verified, screened, config.teacher)
    solvable = {each: found for each, found in scored.items() if each not in grades or not grades[each].discard_reason}
    choices = {each: stage_1(each, questions[each].category, found, config) for each, found in solvable.items()}
    splits = _splits(config, questions, grades, responses, choices)
    for name in (name for name, made in splits.items() if not made):
        msg = f"selected: split {name} would be empty: {_why_empty(config, name, questions, grades, choices)}"
        raise NothingToDo(msg)
    used = {row.question_id for made in splits.values() for row in made}
    drops += [*not_passing(choices, scored, responses), *left_over(questions.values(), used, grades, choices, bool(responses))]
    rows.write(inputs.output, chain.from_iterable(splits.values()), Selected)
    rows.write(inputs.dropped, drops, Dropped)
    outcomes = Counter("challenging" if choice.challenging else choice.reason or "easy_kept" for choice in choices.values())
    metrics = {f"n_{name}": float(count) for name, count in sorted(outcomes.items())}
    metrics |= {f"n_examples/{name}": float(len(made)) for name, made in splits.items()}
    return Outputs(metrics=metrics, dropped=Counter(drop.reason for drop in drops))


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


def _why_empty(
    config: Config, name: str, asked: Mapping[str, Question], grades: Mapping[str, Graded], choices: Mapping[str, Choice]
) -> str:
    if name in config.rl_splits:
        there = dict(Counter(grade.level for grade in grades.values()))
        return f"levels {list(config.rl_splits[name])} are wanted, there are {there}; ask for other levels or for more questions"
    if name in config.original_splits:
        sources = sorted({str(question.source) for question in asked.values() if question.original_response})
        return f"source {config.original_splits[name]!r} is wanted, responses came with {', '.join(sources) or 'none'}"
    return f"Algorithm 1 says {dict(Counter(choice.reason or 'chosen' for choice in choices.values()))}; check teacher, thresholds"


def _splits(
    config: Config, questions: Mapping[str, Question], grades: Mapping[str, Graded], responses: Sequence[Response],
    choices: Mapping[str, Choice],
) -> dict[str, list[Selected]]:  # fmt: skip
    """The examples of every split, in the order of the questions."""
    asked = questions.values()
    made: dict[str, Iterable[Selected]] = {}
    if config.sft_split:
        made[config.sft_split] = examples.from_responses(config.sft_split, config.mode, asked, choices, responses)
    if config.anneal_split:
        best = annealing(choices, config)
        made[config.anneal_split] = examples.from_responses(config.anneal_split, config.mode, asked, best, responses)
    made |= {name: examples.from_levels(name, levels, asked, grades) for name, levels in config.rl_splits.items()}
    made |= {name: examples.from_originals(name, source, asked) for name, source in config.original_splits.items()}
    return {name: list(rows_of_split) for name, rows_of_split in made.items()}
