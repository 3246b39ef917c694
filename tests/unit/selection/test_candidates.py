import math
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.grading.keys import Keys
from stillhouse.grading.thresholds import StatedThresholds
from stillhouse.selection import candidates
from stillhouse.vocabulary.rows import Response, Screened, Verified, response_key

ASKED = testing.questions(5)
IDS = pl.Series([each.question_id for each in ASKED])
RESPONSES = st.lists(
    st.builds(
        testing.response, st.sampled_from(ASKED), model=st.sampled_from("ab"), sample_index=st.sampled_from([0, 1, 2, 63, 64, 90]),
        prompt_kind=st.sampled_from(["question", "question", "summary"]), round=st.sampled_from([1, 1, 2]),
    ), unique_by=response_key, max_size=25,
)  # fmt: skip


def expected(outcomes, response):
    """Whether it passed, and whether it was kept."""
    score, kept = outcomes[response_key(response)]
    return score == 1, kept


@settings(max_examples=40, deadline=None)
@given(RESPONSES, st.randoms(use_true_random=False), st.sampled_from([None, "a", "absent"]), st.integers(0, 25))
def test_pool_is_the_join_by_key_whatever_the_order_and_the_parts_of_its_inputs(made, random, teacher, cut):
    outcomes = {response_key(each): (random.choice([None, 0.0, 1.0]), random.random() < 0.7) for each in made}
    verified = [testing.verified(each, verify_score=outcomes[response_key(each)][0]) for each in random.sample(made, len(made))]
    screened = [testing.screened(each, kept=outcomes[response_key(each)][1]) for each in random.sample(made, len(made))]
    with TemporaryDirectory() as name:
        there = [Path(name, each) for each in ("first", "second", "verified", "screened")]
        for path, part, kind in zip(
            there, (made[:cut], made[cut:], verified, screened), (Response, Response, Verified, Screened), strict=True
        ):
            tables.write(path, part, kind)
        stated = StatedThresholds(pl.Series(["math"] * len(ASKED)))
        pool = candidates.response_pool(Keys(IDS), there[:2], there[2], there[3], teacher, stated)
    columns = (pool.question, pool.model, pool.sample, pool.row, pool.score, pool.passed, pool.rejected)
    found = [
        (IDS[q], pool.models[m], sample, row, None if math.isnan(score) else score, passed, not rejected)
        for q, m, sample, row, score, passed, rejected in zip(*(each.tolist() for each in columns), strict=True)
    ]
    assert found == [
        (each.question_id, each.model, each.sample_index, row, outcomes[response_key(each)][0], *expected(outcomes, each))
        for row, each in enumerate(made)
        if (each.prompt_kind, each.round) == ("question", 1) and teacher in (None, each.model)
    ]  # fmt: skip
    dropped = sum(int(record["n"].sum()) for record in pool.drops(with_summaries=False))
    assert dropped + int(pool.is_candidate.sum()) == len(made)
