"""Tallies -> choices: Algorithm 1 of DeepDistill (§3) and its annealing selection (§3.2), by the column.

A *choice* is one row per question: category, n, n_passed, pass_rate, cv, challenging, and the reason for choosing nothing, or null.
"""

import polars as pl

from stillhouse.grading import model_columns, tally
from stillhouse.selection.context import Context
from stillhouse.vocabulary.categories import SCALES
from stillhouse.vocabulary.rows import Response

"""Categories whose easy questions stay with a probability; those of all others are dropped."""
SWEEP_STEPS = 20
"""Steps of the CV threshold between 0 and 1 that the sweep shows."""


def choose(tallied: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Run Algorithm 1 on a tally of all models together, with the columns category and discard_reason.

    Reasons: ``below_threshold`` (no response passes), ``easy`` (the scores vary too little), ``cv_undefined`` (too few responses),
    or the question's discard_reason. A challenging question keeps its passing responses. So does an easy one that stays: the paper
    leaves that open.
    """
    rules, n = context.rules, model_columns.col("n", 0)
    scored = tallied.filter(n > 0).with_columns(
        pass_rate=tally.pass_rate(0, "indicator"),
        cv=tally.coefficient_of_variation(0, rules.ddof),
        stays=pl.col("category").is_in(rules.easy_categories) & (context.draw("easy", "question_id") < rules.easy_keep_probability),
    )
    varies = (pl.col("cv") > tally.by_category(rules.cv_thresholds)).fill_null(value=False)
    challenging = varies & (pl.col("pass_rate") > 0)
    reason = (
        pl.when(pl.col("discard_reason").is_not_null()).then("discard_reason")
        .when(pl.col("pass_rate") == 0).then(pl.lit("below_threshold"))
        .when(pl.col("cv").is_null()).then(pl.lit("cv_undefined"))
        .when(~challenging & ~pl.col("stays")).then(pl.lit("easy"))
    )  # fmt: skip
    return scored.select(
        "question", "question_id", "category", "pass_rate", "cv", "stays", n=n, n_passed=model_columns.col("passed", 0),
        reason=reason, challenging=challenging & pl.col("discard_reason").is_null(),
    )  # fmt: skip


def annealing(passing: pl.DataFrame, context: Context) -> pl.DataFrame:
    """The responses to anneal on, in order, with that order as the column ``rank``: highest CV first, one per question."""
    return ranked(anneal_candidates(passing, context), context.rules.anneal_questions)


def anneal_candidates(passing: pl.DataFrame, context: Context) -> pl.DataFrame:
    """One response per question that may be annealed on, with the column ``order``, a draw that decides between equal CVs.

    Takes challenging questions with a response whose score over its scale's top is above ``anneal_threshold``; a draw picks among
    these responses.
    """
    above = pl.col("verify_score") / tally.by_category(SCALES) > context.rules.anneal_threshold
    drawn = passing.filter(pl.col("challenging") & above).with_columns(
        drawn=context.draw("anneal", "question_id", "model", "sample_index")
    )
    # Equal draws within a question are next to impossible; the key decides between them all the same.
    first = drawn.filter(pl.col("drawn") == pl.col("drawn").min().over("question_id")).sort(Response.KEY)
    best = first.unique("question_id", keep="first", maintain_order=True)
    return best.with_columns(order=context.draw("order", "question_id")).drop("drawn")


def ranked(candidates: pl.DataFrame, most: int | None) -> pl.DataFrame:
    """The candidates of the highest CV, at most ``most``, in order, with that order as ``rank``. Binary scores often tie in CV."""
    in_order = candidates.sort("cv", "order", "question_id", descending=[True, False, False])
    return in_order.head(most or in_order.height).drop("order").with_row_index("rank")


def sweep(choices: pl.DataFrame) -> pl.DataFrame:
    """What Algorithm 1 would keep by CV threshold: columns cv_threshold, category, n_questions, n_responses."""
    usable = choices.filter(pl.col("reason").is_null() | (pl.col("reason") == "easy"))
    categories, steps = usable.select("category").unique(), []
    for threshold in (step / SWEEP_STEPS for step in range(SWEEP_STEPS + 1)):
        kept = usable.filter((pl.col("cv") > threshold) | pl.col("stays"))
        counts = kept.group_by("category").agg(n_questions=pl.len(), n_responses=pl.col("n_passed").cast(pl.Int64).sum())
        steps.append(categories.join(counts, on="category", how="left").with_columns(cv_threshold=pl.lit(threshold)))
    columns = ("cv_threshold", "category", "n_questions", "n_responses")
    return pl.concat(steps).select(columns).fill_null(0).sort("category", "cv_threshold")
