"""All that is known of the questions -> a decision: what every split is made of, and what becomes of the rest. No text is read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse import candidates, choices, frames, grades, splits
from stillhouse.candidates import Pool
from stillhouse.composition import Composition
from stillhouse.errors import BadRows, NothingToDo
from stillhouse.rows import Graded, Response
from stillhouse.splits import Mode, Plan, Split

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Learnt:
    """What is learnt from responses: none of this is there for a selection that is made of questions alone."""

    pool: Pool
    choices: "pl.DataFrame"
    """Algorithm 1 by question."""
    passing: "pl.DataFrame"
    """Passing responses to the questions it keeps, with their places."""
    failing: "pl.DataFrame"
    """The other responses to these questions."""


@dataclass(frozen=True)
class Decision:
    """Splits, in the order of the config, and what they were decided from."""

    asked: "pl.DataFrame"
    grades: "pl.DataFrame | None"
    learnt: Learnt | None
    splits: list[Split]

    def drops(self, responses: Sequence[Path], mode: Mode, made: Composition) -> "Iterator[pl.LazyFrame]":
        """The records of the responses and questions that no example was made of."""
        if self.learnt is not None:
            yield from self._responses_left(self.learnt, responses, mode)
        yield made.missing()
        yield candidates.left_over(self.asked, made.used, self.learnt.choices if self.learnt else None, self.grades)

    def _responses_left(self, learnt: Learnt, responses: Sequence[Path], mode: Mode) -> "Iterator[pl.LazyFrame]":
        yield from learnt.pool.drops()
        yield from candidates.further(responses, mode == "summary")
        yield frames.dropped(learnt.failing.lazy().select(Response.KEY), Response, "not_passing")
        rest = learnt.passing
        for split in self.splits:
            if "place" in split.rows.columns:
                rest = rest.join(split.rows.select("place"), on="place", how="anti", maintain_order="left")
        yield frames.dropped(rest.lazy().select(Response.KEY), Response, "not_selected")

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

    asked = grades.asked(questions, source=pl.col("source"), has_original=pl.col("original_response").is_not_null())
    levels = frames.scan(graded, Graded, ("question_id", "level", "discard_reason")).collect() if graded else None
    learnt = None
    made = splits.of_questions(plan, asked, levels)
    if verified is not None and responses:
        learnt = _learn(plan, asked, levels, responses, candidates.pool(responses, verified, screened, plan.teacher))
        made = [*splits.of_responses(plan, learnt.passing), *made]
    decision = Decision(asked, levels, learnt, made)
    for split in made:
        if not split.rows.height:
            msg = f"selected: split {split.name} would be empty: {_why_empty(plan, split.name, decision)}"
            raise NothingToDo(msg)
    return decision


def _learn(plan: Plan, asked: "pl.DataFrame", levels: "pl.DataFrame | None", responses: Sequence[Path], pool: Pool) -> Learnt:
    import polars as pl

    above = grades.limits(plan.pass_thresholds, asked)
    tallied = grades.tally(pool.candidates, [None], above)
    unknown = tallied.join(asked, on="question_id", how="anti")["question_id"].sort().to_list()
    if unknown:
        msg = f"responses: {unknown[0]} ({len(unknown)} such) is not in the questions input; give the questions that were answered"
        raise BadRows(msg)
    tallied = asked.join(tallied, on="question_id", how="inner", maintain_order="left")
    if levels is None:
        tallied = tallied.with_columns(discard_reason=pl.lit(None, pl.String))
    else:
        tallied = tallied.join(levels.select("question_id", "discard_reason"), on="question_id", how="left", maintain_order="left")
    chosen = choices.choose(tallied, plan, above)
    passing, failing = splits.chosen_responses(pool.candidates, chosen, plan.pass_thresholds)
    return Learnt(pool, chosen, splits.located(passing, responses), failing)


def _why_empty(plan: Plan, name: str, decision: Decision) -> str:
    limits = f", limits {plan.limits[name].model_dump(mode='json')}" if name in plan.limits else ""
    if name in plan.rl_splits:
        there = {} if decision.grades is None else dict(decision.grades.group_by("level").len().sort("level").iter_rows())
        wanted = plan.rl_splits[name]
        return f"levels {wanted} are wanted{limits}, there are {there}; ask for other levels or for more questions"
    if name in plan.original_splits:
        sources = sorted(map(str, decision.asked.filter("has_original")["source"].unique()))
        return f"source {plan.original_splits[name]!r} is wanted{limits}, responses came with {', '.join(sources) or 'none'}"
    return f"Algorithm 1 says {dict(decision.outcomes())}{limits}; check teacher, thresholds"
