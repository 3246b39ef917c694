"""The work of ``graded``: read the verdicts, tally them, place the levels, write the rows."""

import sys
from collections.abc import Sequence

import polars as pl

from stillhouse.artifacts import frames, tables
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution.contract import Outputs
from stillhouse.grading import levels, model_columns, tally, thresholds
from stillhouse.grading.config import GradedConfig, GradedInputs, Role
from stillhouse.grading.keys import Keys, Seen
from stillhouse.grading.thresholds import StatedThresholds
from stillhouse.vocabulary.rows import Graded, Verified
from stillhouse.vocabulary.shards import Shard


def grade(config: GradedConfig, inputs: GradedInputs) -> Outputs:
    """Grade the questions of this shard; see ``stages.graded.run``."""
    questions = tally.question_table(inputs.questions)
    models, tallied, unknown = _tallied(inputs, questions)
    roles = _roles(config, models, inputs.shard)
    strangers = pl.DataFrame({"question_id": unknown}, {"question_id": pl.String})
    if inputs.shard.count > 1:
        tallied, strangers = _of_shard(inputs, tallied), _of_shard(inputs, strangers)
    has_score = pl.any_horizontal(pl.lit(False), *(model_columns.col("n", model) > 0 for model in range(len(models))))
    grades = levels.grades_table(tallied.filter(has_score), len(models), config.pass_rate_kind, config.ddof)
    learner = None if config.learner is None else _index(models, "learner", config.learner, inputs.shard)
    grades = levels.with_levels(grades, roles, config.solved_share, config.seed, learner)
    frames.write(inputs.output, levels.as_rows(grades, models), Graded)
    drops = [frames.dropped(tallied.filter(~has_score), "no_verdict"), frames.dropped(strangers, "unknown_question")]
    dropped = frames.write_dropped(inputs.dropped, drops)
    inputs.progress(grades.height, grades.height, "questions")
    record = levels.difficulty(grades, models)
    record.write(inputs.output)
    metrics = levels.metrics(grades, models, roles, config.ddof, record)
    # A model may have no verdict in a shard: then none of its questions has one.
    metrics |= {f"n_without_{role}": float(grades.height) for role, name in config.roles.items() if name and roles[role] is None}
    return Outputs(metrics=metrics, dropped=dropped)


def _tallied(inputs: GradedInputs, questions: pl.DataFrame) -> tuple[list[str], pl.DataFrame, list[str]]:
    """The models with a score, the tally of all questions with their thresholds, and the ids that only the verdicts name."""
    keys, seen, stated = Keys(questions["question_id"]), Seen(questions.height), StatedThresholds(questions["category"])
    verdicts = keys.read(inputs.verified, Verified, tally.VERDICT_COLUMNS)
    tallies, unknown = tally.tally_by_model(verdicts, questions.height, seen, stated)
    if seen.has_duplicates:
        tally.refuse_duplicate_verdict(inputs.verified)
    scored = {keys.models[code]: scores for code, scores in tallies.items() if scores.n_scores}
    models = sorted(scored)
    if not models and (inputs.shard.count == 1 or not tallies) and not _is_empty_share(inputs):
        msg = f"graded: none of {questions.height} questions has a verdict; are verified and questions of the same run?"
        raise NothingToDo(msg)
    columns = [column for model, name in enumerate(models) for column in scored[name].columns(model)]
    return models, questions.with_columns(*columns, thresholds.column(stated.by_category)), sorted(unknown)


def _is_empty_share(inputs: GradedInputs) -> bool:
    """Whether this shard has no verdict, and others have some."""
    return not tables.count(inputs.verified) and any(sum(parts.values()) for parts in inputs.listed.get("verified", ()))


def _roles(config: GradedConfig, models: Sequence[str], shard: Shard) -> dict[Role, int | None]:
    """The index of each role's model in ``models``; None for a role without a model."""
    return {role: None if name is None else _index(models, role, name, shard) for role, name in config.roles.items()}


def _index(models: Sequence[str], role: str, name: str, shard: Shard) -> int | None:
    """The index of a model. Raises BadConfig for one without verdicts. A shard may have none by chance: there it is only said."""
    if name in models:
        return models.index(name)
    msg = f"graded: {role}={name!r}, but no verdict is on a model of that name; models: {', '.join(models)}"
    if shard.count == 1:
        raise BadConfig(msg)
    print(f"  warning: shard {shard.name}: {msg}", file=sys.stderr, flush=True)
    return None


def _of_shard(inputs: GradedInputs, questions: pl.DataFrame) -> pl.DataFrame:
    """The questions of this shard."""
    in_shard = [inputs.shard.holds(question_id) for question_id in questions["question_id"].to_list()]
    return questions.filter(pl.Series(in_shard, dtype=pl.Boolean))
