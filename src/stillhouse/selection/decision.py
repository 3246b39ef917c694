"""Questions, verdicts and grades -> a selection: the rows of every split, and the reasons for the rest. No text is read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.artifacts import frames
from stillhouse.errors import NothingToDo
from stillhouse.grading import tally
from stillhouse.grading.keys import Keys
from stillhouse.grading.thresholds import StatedThresholds
from stillhouse.selection import algorithm_1, splits
from stillhouse.selection.candidates import ResponsePool, response_pool
from stillhouse.selection.composition import Composition
from stillhouse.selection.config import SelectedConfig, SelectedInputs
from stillhouse.selection.context import Context
from stillhouse.selection.splits import Split
from stillhouse.vocabulary.rows import Graded, Mode
from stillhouse.vocabulary.shards import Shard


@dataclass(frozen=True)
class SftCandidates:
    """What Algorithm 1 decides about the responses; a selection of questions alone has none."""

    pool: ResponsePool
    choices: pl.DataFrame
    """Algorithm 1 by question."""
    passing: pl.DataFrame
    """Passing responses to the questions it keeps: ``row`` among all responses, ``pool_index`` in the pool."""
    failing: npt.NDArray[np.bool_]
    """Which responses in the pool are the other ones to these questions, (n_responses,)."""

    def not_selected(self, chosen: Sequence[Split]) -> npt.NDArray[np.bool_]:
        """Which responses of the pool pass but are in no split, (n_responses,)."""
        left = np.zeros(len(self.pool.sample), bool)
        left[self.passing["pool_index"].to_numpy()] = True
        for split in chosen:
            if "pool_index" in split.rows.columns:
                left[split.rows["pool_index"].to_numpy()] = False
        return left


@dataclass(frozen=True)
class Selection:
    """The splits, in the order of the config, and what they were decided from."""

    questions: pl.DataFrame
    grades: pl.DataFrame | None
    """Level and discard_reason of every question, in the order of the questions; null for a question without a grade."""
    sft: SftCandidates | None
    splits: list[Split]

    def drops(self, mode: Mode, composition: Composition) -> Iterator[pl.DataFrame]:
        """The records of the responses and questions that became no example."""
        if self.sft is not None:
            pool = self.sft.pool
            yield from pool.drops(with_summaries=mode == "summary")
            yield pool.dropped(self.sft.failing, "not_passing")
            yield pool.dropped(self.sft.not_selected(self.splits), "not_selected")
        yield composition.missing()
        yield self._unused_questions(composition.used)

    def _unused_questions(self, used: pl.Series) -> pl.DataFrame:
        """The records of questions in no split: never solved, rejected by Algorithm 1, or outside every split's terms."""
        questions, reasons = self.questions, [pl.lit("not_selected")]
        if self.sft is not None:
            tried = self.sft.choices.select("question", "reason", tried=True)
            questions = questions.join(tried, on="question", how="left", maintain_order="left")
            reasons = [pl.col("reason"), pl.when(pl.col("tried").is_null()).then(pl.lit("no_response")), *reasons]
        if self.grades is not None:
            questions = questions.hstack(self.grades.select("discard_reason"))
            reasons = [pl.col("discard_reason"), *reasons]
        return frames.dropped(questions.filter(~pl.col("question").is_in(used.implode())), pl.coalesce(reasons))

    def outcomes(self) -> Counter[str]:
        """Questions by the outcome of Algorithm 1."""
        if self.sft is None:
            return Counter()
        kept = pl.when(pl.col("challenging")).then(pl.lit("challenging")).otherwise(pl.lit("easy_kept"))
        outcome = pl.coalesce("reason", kept).alias("outcome")
        return Counter(dict(self.sft.choices.group_by(outcome).len().sort("outcome").iter_rows()))


@dataclass(frozen=True)
class Candidates:
    """What may go into each split, before limits that hold for all shards together."""

    selection: Selection
    """Its splits hold all candidates."""
    context: Context


def decide(config: SelectedConfig, inputs: SelectedInputs) -> Selection:
    """Choose the rows of every split.

    Raises BadRows for rows that do not belong together, among them verdicts and grades by different pass thresholds, and
    NothingToDo for a split that would be empty.
    """
    found = candidates(config, inputs)
    chosen = [
        splits.with_thresholds(replace(split, rows=splits.within_limits(config, split.name, split.rows)), found.context)
        for split in found.selection.splits
    ]
    selection = replace(found.selection, splits=chosen)
    for split in selection.splits:
        if not split.rows.height:
            msg = f"selected: split {split.name} would be empty: {_why_empty(config, split.name, selection)}"
            raise NothingToDo(msg)
    return selection


def candidates(config: SelectedConfig, inputs: SelectedInputs) -> Candidates:
    """The candidates of this shard. Raises BadRows as ``decide``."""
    has_original = pl.col("original_response").is_not_null()
    columns = {"source": pl.col("source"), "has_original": has_original}
    questions = tally.question_table(inputs.questions, **columns).with_row_index("question")
    stated = StatedThresholds(questions["category"])
    grades = _grades(questions, inputs.graded, stated) if inputs.graded else None
    pool = None
    if inputs.verified is not None and inputs.responses:
        pool = response_pool(
            Keys(questions["question_id"], inputs.shard), inputs.responses, inputs.verified, inputs.screened, config.teacher, stated
        )  # fmt: skip
    context = Context(config, config.limits, stated.by_category)
    sft = None if pool is None else _sft_candidates(context, questions, grades, pool)
    mine = _of_shard(questions, inputs.shard)
    questions, grades = questions.filter(mine), None if grades is None else grades.filter(mine)
    of_responses = [] if sft is None else splits.of_responses(config, context, sft.passing)
    found = [*of_responses, *splits.of_questions(config, context, questions, grades)]
    return Candidates(Selection(questions, grades, sft, found), context)


def _of_shard(questions: pl.DataFrame, shard: Shard) -> pl.Series:
    """Whether each question is of this shard."""
    if shard.count == 1:
        return pl.repeat(value=True, n=questions.height, eager=True)
    return pl.Series([shard.holds(question_id) for question_id in questions["question_id"].to_list()], dtype=pl.Boolean)


def _grades(questions: pl.DataFrame, graded: Path, stated: StatedThresholds) -> pl.DataFrame:
    """Level and discard_reason of every question; ``stated`` takes the thresholds. Raises BadRows for a duplicate question."""
    grades = frames.scan(graded, Graded, ("question_id", "level", "discard_reason", "threshold")).collect()
    if not grades["question_id"].equals(questions["question_id"]):
        tally.refuse_duplicate_question("graded", grades["question_id"])
        grades = questions.select("question_id").join(grades, on="question_id", how="left", maintain_order="left")
    stated.add("graded", questions["question"].to_numpy(), grades["threshold"].to_numpy())
    return grades.select("level", "discard_reason")


def _sft_candidates(context: Context, questions: pl.DataFrame, grades: pl.DataFrame | None, pool: ResponsePool) -> SftCandidates:
    discard_reason = pl.lit(None, pl.String).alias("discard_reason") if grades is None else grades["discard_reason"]
    choices = algorithm_1.choose(questions.with_columns(*pool.tally().columns(0), discard_reason), context)
    kept = choices.filter(pl.col("reason").is_null()).select("question", "category", "pass_rate", "cv", "challenging")
    kept_index = np.full(len(pool.ids), -1)
    kept_index[kept["question"].to_numpy()] = np.arange(kept.height)
    candidates = (kept_index[pool.question] >= 0) & pool.is_candidate
    pool_index = np.flatnonzero(candidates & pool.passed)
    passing = _responses(pool, pool_index).hstack(kept.drop("question")[pl.Series(kept_index[pool.question[pool_index]])])
    return SftCandidates(pool, choices, passing, candidates & ~pool.passed)


def _responses(pool: ResponsePool, pool_index: npt.NDArray[np.int64]) -> pl.DataFrame:
    """The responses at these indices of the pool, as a frame."""
    question = pl.Series("question", pool.question[pool_index].astype(np.uint32))
    return pl.DataFrame([
        pool.ids[question].alias("question_id"), pl.Series("model", pool.models, pl.String)[pl.Series(pool.model[pool_index])],
        pl.Series("sample_index", pool.sample[pool_index]), pl.Series("verify_score", pool.score[pool_index]),
        pl.Series("row", pool.row[pool_index]), question,
    ]).with_columns(prompt_kind=pl.lit("question"), round=pl.lit(1, pl.Int32), pool_index=pl.Series(pool_index))  # fmt: skip


def _why_empty(config: SelectedConfig, name: str, selection: Selection) -> str:
    limits = f", limits {config.limits[name].model_dump(mode='json')}" if name in config.limits else ""
    if name in config.rl_splits:
        counts: dict[int, int] = {}
        if selection.grades is not None:
            counts = dict(selection.grades.drop_nulls("level").group_by("level").len().sort("level").iter_rows())
        wanted = config.rl_splits[name]
        return f"it takes levels {wanted}{limits}, and the questions by level are {counts}; take other levels, or more questions"
    if name in config.original_splits:
        sources = sorted(map(str, selection.questions.filter("has_original")["source"].unique()))
        return f"it takes source {config.original_splits[name]!r}{limits}, and responses come with {', '.join(sources) or 'none'}"
    return f"the outcomes of Algorithm 1 are {dict(selection.outcomes())}{limits}; check teacher and thresholds"
