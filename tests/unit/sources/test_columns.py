import json
from collections import Counter

import pytest

from stillhouse.exchange.bad_rows import Bad
from stillhouse.sources import columns
from stillhouse.sources.stored import MappedSpec
from stillhouse.vocabulary.rows import Question


def read(row, categories=None, **paths):
    fixed = {} if "category" in paths else {"category": "other"}
    spec = MappedSpec(name="n", license="l", columns=paths, categories=categories or {}, **fixed)
    ((_, made),) = columns.questions(spec, [(1, row)], Counter())
    return made


def said(row, **paths):
    """The messages, or the reason why there are none."""
    made = read(row, **paths)
    return made.messages if isinstance(made, Question) else made.reason


@pytest.mark.parametrize(
    ("row", "path", "found"),
    [
        ({"a": {"b": "x"}}, "a.b", "x"), ({"a": [{"b": "x"}, {"b": "y"}]}, "a.1.b", "y"), ({"a": {"0": "x"}}, "a.0", "x"),
        ({"a": {"b": None}}, "a.b", None), ({"a": None}, "a.b", None), ({}, "a?", None), ({"a": {}}, "a.b?", None),
        ({"a": []}, "a.3?", None),
    ],
)  # fmt: skip
def test_columns_path_leads_to_its_value(row, path, found):
    assert read({"q": "?"} | row, prompt="q", reference_answer=path).reference_answer == found


@pytest.mark.parametrize("row", [{}, {"a": {}}, {"a": "text"}, {"a": [1]}])
def test_columns_path_that_leads_nowhere_is_a_missing_column(row):
    bad = read({"q": "?"} | row, prompt="q", reference_answer="a.b")
    assert (bad.reason, bad.detail) == ("bad_column", f"a.b: missing; the row has {', '.join(['q', *row])}")


def test_columns_messages_of_either_naming_are_read_and_a_last_answer_is_the_response():
    ours = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    theirs = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    for turns in (ours, theirs):
        made = read({"m": turns}, messages="m")
        assert (made.messages, made.original_response) == (ours[:2], "a")


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ("text", "bad_type"), (["text"], "bad_type"), ([{"role": "user"}], "bad_type"),
        ([{"role": "user", "content": 1}], "bad_type"),
        ([], "bad_value"), ([{"role": "robot", "content": "x"}], "bad_value"), (None, "bad_value"),
    ],
)  # fmt: skip
def test_columns_messages_that_are_none_are_refused(messages, reason):
    assert said({"m": messages}, messages="m") == reason


@pytest.mark.parametrize(("value", "text"), [(2, "2"), (0.1, "0.1"), ("2", "2"), (None, None)])
def test_columns_reference_number_is_its_text(value, text):
    assert read({"q": "?", "a": value}, prompt="q", reference_answer="a").reference_answer == text


def test_columns_tests_and_constraints_as_objects_become_json():
    made = read({"q": "?", "t": {"call_type": "std"}, "c": '{"x": 1}'}, prompt="q", test_cases="t", constraints="c")
    assert (json.loads(made.test_cases), made.constraints) == ({"call_type": "std"}, '{"x": 1}')


def test_columns_category_is_mapped_and_an_unknown_one_is_named():
    mapping = {"Mathematics": "math"}
    assert read({"q": "?", "s": "Mathematics"}, mapping, prompt="q", category="s").category == "math"
    assert read({"q": "?", "s": "code"}, mapping, prompt="q", category="s").category == "code"
    bad = read({"q": "?", "s": "Art"}, mapping, prompt="q", category="s")
    assert isinstance(bad, Bad)
    assert "s: 'Art' is not a category" in bad.detail


def test_columns_bad_row_of_the_file_is_passed_on():
    spec = MappedSpec(name="n", license="l", columns={"prompt": "q"}, category="math")
    given = [(3, Bad("bad_json", "why"))]
    assert list(columns.questions(spec, given, Counter())) == given
