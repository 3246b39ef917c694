"""All that is known of the questions -> a decision: what every split is made of, and what becomes of the rest. No text is read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.artifacts import frames
from stillhouse.errors import BadRows, NothingToDo
from stillhouse.grading import tally
from stillhouse.selection import algorithm_1, candidates, splits
from stillhouse.selection.candidates import Pool
from stillhouse.selection.composition import Composition
from stillhouse.selection.splits import Mode, Plan, Split
from stillhouse.vocabulary.rows import Graded

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Learnt:
    """What is learnt from responses: none of this is there for a selection that is made of questions alone."""

    pool: Pool
    choices: "pl.DataFrame"
    """Algorithm 1 by question."""
    passing: "pl.DataFrame"
    """Passing responses to the questions it keeps, with their places among all responses and, as ``row``, in the pool."""
    failing: "Array"
    """Which of the pool are the other responses to these questions."""

    def not_selected(self, made: Sequence[Split]) -> "Array":
        """Which of the pool pass, and are in no split."""
        import numpy as np

        left = np.zeros(len(self.pool.sample), bool)
        left[self.passing["row"].to_numpy()] = True
        for split in made:
            if "row" in split.rows.columns:
                left[split.rows["row"].to_numpy()] = False
        return left


@dataclass(frozen=True)
class Decision:
    """Splits, in the order of the config, and what they were decided from."""

    asked: "pl.DataFrame"
    grades: "pl.DataFrame | None"
    """Level and discard_reason of every question, in the questions' order; null where it was not graded."""
    learnt: Learnt | None
    splits: list[Split]

    def drops(self, mode: Mode, made: Composition) -> "Iterator[pl.DataFrame]":
        """The records of the responses and questions that no example was made of."""
        if self.learnt is not None:
            pool = self.learnt.pool
            yield from pool.drops(with_summaries=mode == "summary")
            yield pool.left(self.learnt.failing, "not_passing")
            yield pool.left(self.learnt.not_selected(self.splits), "not_selected")
        yield made.missing()
        yield candidates.left_over(self.asked, made.used, self.learnt.choices if self.learnt else None, self.grades)

    def outcomes(self) -> Counter[str]:
        """Questions by what Algorithm 1 said of them."""
        import polars as pl

        if self.learnt is None:
            return Counter()
        kept = pl.when(pl.col("challenging")).then(pl.lit("challenging")).otherwise(pl.lit("easy_kept"))
        outcome = pl.coalesce("reason", kept).alias("outcome")
        return Counter(dict(self.learnt.choices.group_by(outcome).len().sort("outcome").iter_rows()))


def decide(
    plan: Plan, questions: Path, responses: Sequence[Path], verified: Path | None, screened: Path | None, graded: Path | None
) -> Decision:
    """Choose. Raises BadRows for rows that do not belong together, NothingToDo for a split that would be empty."""
    import polars as pl

    has_original = pl.col("original_response").is_not_null()
    asked = tally.asked(questions, source=pl.col("source"), has_original=has_original).with_row_index("question")
    levels = _levels(asked, graded) if graded else None
    learnt = None
    made = splits.of_questions(plan, asked, levels)
    if verified is not None and responses:
        pool = candidates.pool(asked["question_id"], responses, verified, screened, plan.teacher)
        learnt = _learn(plan, asked, levels, pool)
        made = [*splits.of_responses(plan, learnt.passing), *made]
    decision = Decision(asked, levels, learnt, made)
    for split in made:
        if not split.rows.height:
            msg = f"selected: split {split.name} would be empty: {_why_empty(plan, split.name, decision)}"
            raise NothingToDo(msg)
    return decision


def _levels(asked: "pl.DataFrame", graded: Path) -> "pl.DataFrame":
    """Level and discard_reason of every question. Raises BadRows for a question that is graded twice."""
    import polars as pl

    found = frames.scan(graded, Graded, ("question_id", "level", "discard_reason")).collect()
    if not found["question_id"].equals(asked["question_id"]):
        if found["question_id"].n_unique() < found.height:
            twice = found.filter(pl.col("question_id").is_duplicated())["question_id"][0]
            msg = f"graded: {twice} is there twice; give one artifact, and each of its parts once"
            raise BadRows(msg)
        found = asked.select("question_id").join(found, on="question_id", how="left", maintain_order="left")
    return found.select("level", "discard_reason")


def _learn(plan: Plan, asked: "pl.DataFrame", levels: "pl.DataFrame | None", pool: Pool) -> Learnt:
    import polars as pl

    limits = tally.limits(plan.pass_thresholds, asked)
    discarded = pl.lit(None, pl.String).alias("discard_reason") if levels is None else levels["discard_reason"]
    tallied = asked.with_columns(*pool.tally(limits).columns(0), discarded)
    chosen = algorithm_1.choose(tallied, plan)
    passing, failing = splits.passing(pool, chosen, limits)
    return Learnt(pool, chosen, passing, failing)


def _why_empty(plan: Plan, name: str, decision: Decision) -> str:
    limits = f", limits {plan.limits[name].model_dump(mode='json')}" if name in plan.limits else ""
    if name in plan.rl_splits:
        there: dict[int, int] = {}
        if decision.grades is not None:
            there = dict(decision.grades.drop_nulls("level").group_by("level").len().sort("level").iter_rows())
        wanted = plan.rl_splits[name]
        return f"levels {wanted} are wanted{limits}, there are {there}; ask for other levels or for more questions"
    if name in plan.original_splits:
        sources = sorted(map(str, decision.asked.filter("has_original")["source"].unique()))
        return f"source {plan.original_splits[name]!r} is wanted{limits}, responses came with {', '.join(sources) or 'none'}"
    return f"Algorithm 1 says {dict(decision.outcomes())}{limits}; check teacher, thresholds"
