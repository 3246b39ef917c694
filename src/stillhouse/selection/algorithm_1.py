"""Tallies -> choices: Algorithm 1 and the annealing selection of ``selection``, by the column.

A *choice* is a row by question: category, n, n_passed, pass_rate, cv, challenging, and the reason why nothing is chosen, null else.
"""

from typing import TYPE_CHECKING

from stillhouse.grading import tally
from stillhouse.grading.config import scale
from stillhouse.selection.config import EASY_KEPT, Limits, Rules, quotas
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.categories import CATEGORIES
from stillhouse.vocabulary.rows import Response

if TYPE_CHECKING:
    import polars as pl

SWEEP_STEPS = 20
"""Steps of the CV threshold between 0 and 1 that the sweep shows."""


def choose(tallied: "pl.DataFrame", rules: Rules) -> "pl.DataFrame":
    """``selection.stage_1`` of every question of a tally of all models at once, with category and discard_reason."""
    import polars as pl

    made = tallied.filter(pl.col("n_0") > 0).with_columns(
        pass_rate=tally.pass_rate(0, "indicator"),
        cv=tally.coefficient_of_variation(0, rules.ddof),
        stays=_stays(rules),
    )
    challenging = (pl.col("cv") > _cv_threshold(rules)).fill_null(value=False) & (pl.col("pass_rate") > 0)
    reason = (
        pl.when(pl.col("discard_reason").is_not_null()).then("discard_reason")
        .when(pl.col("pass_rate") == 0).then(pl.lit("below_threshold"))
        .when(pl.col("cv").is_null()).then(pl.lit("cv_undefined"))
        .when(~challenging & ~pl.col("stays")).then(pl.lit("easy"))
    )  # fmt: skip
    return made.select(
        "question", "question_id", "category", "pass_rate", "cv", "stays", n="n_0", n_passed="passed_0", reason=reason,
        challenging=challenging & pl.col("discard_reason").is_null(),
    )  # fmt: skip


def _stays(rules: Rules) -> "pl.Expr":
    """Whether the question would stay if it were easy."""
    import polars as pl

    drawn = seeds.draws(rules.seed, "easy", pl.col("question_id"))
    return pl.col("category").is_in(EASY_KEPT) & (drawn < rules.easy_keep_probability)


def _cv_threshold(rules: Rules) -> "pl.Expr":
    return tally.by_category({category: getattr(rules.cv_thresholds, category) for category in CATEGORIES})


def annealing(chosen: "pl.DataFrame", rules: Rules) -> "pl.DataFrame":
    """``selection.annealing`` of the chosen responses, in its order, with that order as the column ``rank``."""
    import polars as pl

    top = tally.by_category({category: scale(category) for category in CATEGORIES})
    good = chosen.filter(pl.col("challenging") & (pl.col("verify_score") / top > rules.anneal_threshold))
    one = seeds.draws(rules.seed, "anneal", pl.col("question_id"), pl.col("model"), pl.col("sample_index"))
    drawn = good.with_columns(drawn=one).filter(pl.col("drawn") == pl.col("drawn").min().over("question_id"))
    # Two equal draws for one question are next to impossible; which of them wins is settled all the same.
    best = drawn.sort(Response.KEY).unique("question_id", keep="first", maintain_order=True)
    order = seeds.draws(rules.seed, "order", pl.col("question_id"))
    ranked = best.with_columns(order=order).sort("cv", "order", "question_id", descending=[True, False, False])
    return ranked.head(rules.anneal_questions or ranked.height).drop("drawn", "order").with_row_index("rank")


def limited(examples: "pl.DataFrame", limits: Limits) -> "pl.DataFrame":
    """The examples that a split's limits leave, by the column ``rank``."""
    import polars as pl

    available = dict(examples.group_by("category").len().iter_rows())
    quota = pl.col("category").replace_strict(quotas(available, limits), default=0, return_dtype=pl.Int64)
    kept = examples.filter(pl.col("rank").rank("ordinal").over("category") <= quota) if available else examples
    # A mix has its size in the quotas already: another cut would spoil the mix.
    return kept if limits.size is None or limits.mix else kept.sort("rank").head(limits.size)


def sweep(choices: "pl.DataFrame", rules: Rules) -> "pl.DataFrame":
    """What Algorithm 1 would keep by CV threshold: columns cv_threshold, category, n_questions, n_responses."""
    import polars as pl

    usable = choices.filter(pl.col("reason").is_null() | (pl.col("reason") == "easy"))
    every, made = usable.select("category").unique(), []
    for threshold in (step / SWEEP_STEPS for step in range(SWEEP_STEPS + 1)):
        kept = usable.filter((pl.col("cv") > threshold) | pl.col("stays"))
        counted = kept.group_by("category").agg(n_questions=pl.len(), n_responses=pl.col("n_passed").cast(pl.Int64).sum())
        made.append(every.join(counted, on="category", how="left").with_columns(cv_threshold=pl.lit(threshold)))
    columns = ("cv_threshold", "category", "n_questions", "n_responses")
    return pl.concat(made).select(columns).fill_null(0).sort("category", "cv_threshold")
