import json

import pytest

from stillhouse import sources
from stillhouse.errors import TooManyErrors
from stillhouse.sources.stored import Release
from stillhouse.vocabulary.rows import Dropped

FLAT = {"question": "1+1?", "answer": "<think>so</think><answer>2</answer>", "category": "math", "ground_truth": "2"}
TURNS = {
    "conversations": [
        {"from": "human", "value": "1+1?", "info": {"category": "math", "ground_truth": "2"}},
        {"from": "assistant", "value": FLAT["answer"]},
    ]
}
MESSAGES = {
    "messages": [
        {"role": "user", "content": "1+1?", "info": {"reference_answer": "2"}}, {"role": "assistant", "content": FLAT["answer"]},
    ]
}  # fmt: skip


def read(directory, kind, *rows, **changes):
    path = directory / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(sources.read(Release(kind=kind, name="release", license="cc", path=str(path), revision="1", **changes)))


@pytest.mark.parametrize(("kind", "row"), [("am-40m", FLAT), ("conversations", TURNS), ("am-1.4m", MESSAGES)])
def test_release_source_every_schema_gives_the_question_with_its_response(tmp_path, kind, row):
    (made,) = read(tmp_path, kind, row)
    assert (made.messages, made.category, made.reference_answer) == ([{"role": "user", "content": "1+1?"}], "math", "2")
    assert (made.source, made.license, made.original_response) == ("release", "cc", FLAT["answer"])


def test_release_source_question_with_several_responses_comes_as_often_under_one_id(tmp_path):
    first, second = read(tmp_path, "am-40m", FLAT, {**FLAT, "answer": "other"})
    assert first.question_id == second.question_id


def test_release_source_category_of_the_config_wins(tmp_path):
    assert read(tmp_path, "am-1.4m", MESSAGES, category="science")[0].category == "science"


def test_release_source_bad_rows_are_dropped_below_the_ceiling(tmp_path):
    found = read(tmp_path, "am-40m", FLAT, TURNS, max_bad_rate=0.5)
    assert [row.reason for row in found if isinstance(row, Dropped)] == ["bad_column"]
    with pytest.raises(TooManyErrors):
        read(tmp_path, "am-40m", FLAT, TURNS)
