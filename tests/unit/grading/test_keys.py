import random
from collections import Counter

import numpy as np
import polars as pl
import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.grading import keys
from stillhouse.grading.keys import Keys, Part, Seen
from stillhouse.vocabulary.rows import Response, Verified

ASKED = testing.questions(9)
IDS = pl.Series([each.question_id for each in ASKED])


def read(path, made, part_rows, monkeypatch, ids=IDS):
    """What is read of verdicts on these responses, as (question, model, sample, row, score)."""
    monkeypatch.setattr(tables, "PART_ROWS", part_rows)
    tables.write(path, [testing.verified(each, passed=each.sample_index == 0) for each in made], Verified)
    numbers = Keys(ids)
    found = list(numbers.read(path, Verified, ("verify_score",)))
    columns = [np.concatenate([getattr(part, name) for part in found]).tolist() for name in ("question", "sample", "row")]
    columns.append(np.concatenate([part.values["verify_score"] for part in found]).tolist())
    models = [numbers.models[model] for part in found for model in part.model]
    return list(zip(columns[0], models, *columns[1:], strict=True)), found, numbers


@pytest.mark.parametrize("part_rows", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize("shuffled", [False, True])
def test_read_numbers_rows_by_question_model_and_sample_however_they_are_parted(tmp_path, monkeypatch, part_rows, shuffled):
    made = [testing.response(each, model=model, sample_index=at) for model in "ab" for each in ASKED for at in range(2)]
    if shuffled:
        random.Random(0).shuffle(made)
    found, _, numbers = read(tmp_path, made, part_rows, monkeypatch)
    place = {each.question_id: number for number, each in enumerate(ASKED)}
    assert found == [
        (place[each.question_id], each.model, each.sample_index, at, float(each.sample_index == 0)) for at, each in enumerate(made)
    ]
    assert bool(numbers._index) == shuffled, "rows in the questions' order are numbered without looking one up"


@pytest.mark.parametrize("part_rows", [1, 100])
def test_read_tells_unknown_questions_and_later_rounds_apart(tmp_path, monkeypatch, part_rows):
    else_asked = testing.question("else", "1")
    made = [
        testing.response(else_asked), testing.response(ASKED[3]), testing.response(ASKED[4], round=2),
        testing.response(ASKED[4], prompt_kind="summary", model="s"), testing.response(else_asked, sample_index=1),
    ]  # fmt: skip
    found, parts, _ = read(tmp_path, made, part_rows, monkeypatch)
    assert found == [(3, "toy", 0, 1, 1.0)]
    assert {each for part in parts for each in part.unknown} == {else_asked.question_id}
    assert sum((part.later for part in parts), Counter()) == {("toy", "question", 2): 1, ("s", "summary", 1): 1}


def test_read_part_without_rows_is_no_part(tmp_path):
    tables.write(tmp_path, [], Verified)
    assert [len(part.sample) for part in Keys(IDS).read(tmp_path, Verified, ("verify_score",))] in ([], [0])


def test_read_without_values_takes_responses(tmp_path):
    tables.write(tmp_path, [testing.response(each) for each in ASKED], Response)
    (part,) = Keys(IDS).read(tmp_path, Response)
    assert part.values == {}
    assert part.question.tolist() == list(range(9))


def test_read_nulls_of_numbers_are_nan_and_of_booleans_false(tmp_path):
    response = testing.response(ASKED[0])
    failed = testing.verified(response, sample_index=1, kind="timeout", verify_score=None)
    tables.write(tmp_path, [testing.verified(response), failed], Verified)
    (part,) = Keys(IDS).read(tmp_path, Verified, ("verify_score", "passed"))
    assert part.values["passed"].tolist() == [True, False]
    assert np.isnan(part.values["verify_score"]).tolist() == [False, True]


def seen(*met):
    """``met``: model, question, sample."""
    made = Seen(9)
    for each in met:
        model, question, sample = (np.array([number], np.int32) for number in each)
        made.add(Part(question, model, sample, sample))
    return made


@pytest.mark.parametrize("width", [1, 64])
def test_seen_tells_keys_met_twice_and_keys_that_are_missing(width, monkeypatch):
    monkeypatch.setattr(keys, "WIDTH", width)
    some, more = ((0, 1, 0), (1, 1, 0), (0, 1, 3)), ((0, 1, 70), (1, 8, 2))
    assert not seen(*some, *more).has_duplicates
    assert all(seen(*some, *more, twice).has_duplicates for twice in (*some, *more))
    assert seen(*some).missing_from(seen(*some, *more)) is None
    assert {seen(*some, *more).missing_from(seen(*some, more[not at])) for at in (0, 1)} == set(more)
