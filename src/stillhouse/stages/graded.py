"""questions + verified -> graded: how hard each question is, by the pass rates of the models that answered it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from stillhouse.artifacts import frames
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.grading import levels, tally
from stillhouse.grading.config import PassRateKind, PassThresholds, SolvedShares
from stillhouse.grading.keys import Keys, Seen
from stillhouse.vocabulary.rows import Graded, Verified
from stillhouse.vocabulary.settings import StageConfig

if TYPE_CHECKING:
    import polars as pl

SCHEMA_VERSION = 3
ROLES = ("small", "medium", "reference", "strongest")


class Config(StageConfig):
    """Whose pass rates decide the level, and how they are counted."""

    small: str
    """Model in the role of R1-Distill-1.5B: the one to be trained, or like it."""
    medium: str
    """Model in the role of R1-Distill-7B."""
    reference: str | None = None
    """Model in the role of R1-Distill-32B: what it fails is level 3."""
    strongest: str | None = None
    """Model in the role of DeepSeek-R1: what it never solves is discarded."""
    ddof: int = Field(1, ge=0, le=1)
    """1: the deviation of the paper's worked examples (DeepDistill §3); 0: its printed formula."""
    pass_rate_kind: PassRateKind = "indicator"
    """indicator: share of responses that pass (DeepDistill §2.4.2); mean_score: mean verify score (its dataset card)."""
    pass_thresholds: PassThresholds = PassThresholds()
    """Verify scores above which a response passes, by category."""
    solved_share: SolvedShares = SolvedShares()
    """Share of the questions the reference solves that stay in level 3."""
    seed: int = 0
    """Decides which of those stay."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Questions, and the verdicts on all models' responses."""

    questions: Path
    verified: Path


def run(config: Config, inputs: Inputs) -> Outputs:
    """Grade every question that has a score. Raises BadConfig for a model without verdicts, NothingToDo without any.

    Dropped: ``no_verdict``, questions without a score; ``unknown_question``, questions that only the verdicts name.
    """
    import polars as pl

    asked = tally.asked(inputs.questions)
    known, seen = Keys(asked["question_id"]), Seen(asked.height)
    verdicts = known.read(inputs.verified, Verified, "verify_score")
    tallies, unknown = tally.tally(verdicts, seen, tally.limits(config.pass_thresholds, asked))
    if seen.has_duplicates:
        tally.refuse_duplicate(inputs.verified)
    scored = {known.models[number]: tally for number, tally in tallies.items() if tally.n_scores}
    models = sorted(scored)
    if not models:
        msg = f"graded: none of {asked.height} questions has a verdict; are verified and questions of the same run?"
        raise NothingToDo(msg)
    roles = _roles(config, models)
    columns = [column for place, model in enumerate(models) for column in scored[model].columns(place)]
    joined, beyond = asked.with_columns(columns), pl.DataFrame({"question_id": sorted(unknown)}, {"question_id": pl.String})
    if inputs.shard.count > 1:
        joined, beyond = _mine(inputs, joined), _mine(inputs, beyond)
    has_score = pl.any_horizontal(*(pl.col(f"n_{place}") > 0 for place in range(len(models))))
    book = levels.grade(joined.filter(has_score), len(models), config.pass_rate_kind, config.ddof)
    book = levels.place_levels(book, roles, config.solved_share, config.seed)
    frames.write(inputs.output, levels.as_rows(book, models), Graded)
    silent = joined.filter(~has_score)
    drops = [frames.dropped(silent, "no_verdict"), frames.dropped(beyond, "unknown_question")]
    counts = frames.write_dropped(inputs.dropped, drops)
    inputs.progress(book.height, book.height, "questions")
    record = levels.difficulty(book, models)
    record.write(inputs.output)
    return Outputs(metrics=levels.metrics(book, models, roles, config.ddof, record), dropped=counts)


def _roles(config: Config, models: Sequence[str]) -> dict[str, int | None]:
    """The place of each role's model among the models; None where the config names none."""
    names: dict[str, str | None] = {role: getattr(config, role) for role in ROLES}
    for role, name in names.items():
        if name is not None and name not in models:
            msg = f"graded: {role}={name!r}, but no verdict is on a model of that name; models: {', '.join(models)}"
            raise BadConfig(msg)
    return {role: None if name is None else models.index(name) for role, name in names.items()}


def _mine(inputs: Inputs, questions: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    mine = [inputs.shard.holds(each) for each in questions["question_id"].to_list()]
    return questions.filter(pl.Series(mine, dtype=pl.Boolean))
