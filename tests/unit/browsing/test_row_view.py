import json

import pytest

from stillhouse.browsing.library import opened
from stillhouse.browsing.row_view import diff, row_view
from stillhouse.errors import BadRows
from tests.unit.browsing.views import publish_view


def test_row_view_has_all_that_belongs_to_a_verdict(tmp_path):
    uris = publish_view(tmp_path)
    view = row_view(opened([uris["verified"], uris["graded"]]), 15)
    assert view.question["reference_answer"] == "8"
    assert view.response["model"] == "large"
    assert view.verdict["kind"] == "wrong"
    assert view.grade["level"] == 2
    found = [(answer["model"], answer["sample_index"], answer["verdict"]["kind"]) for answer in view.answers]
    assert found == [("large", 0, "correct"), ("large", 1, "wrong"), ("small", 0, "correct"), ("small", 1, "wrong")]


def test_row_view_as_a_test_case_holds_what_the_verifier_needs(tmp_path):
    case = json.loads(row_view(opened([publish_view(tmp_path)["verified"]]), 0).case)
    assert case["question"]["reference_answer"] == "7"
    assert case["question"]["category"] == "math"
    assert case["response"]["text"] == "<think>hm small</think>It is 0."
    assert (case["got"], case["passed"]) == ("wrong", False)


def test_row_view_beyond_the_last_row_is_refused(tmp_path):
    with pytest.raises(BadRows, match="row 24: verified toy has 24 rows, counted from 0"):
        row_view(opened([publish_view(tmp_path)["verified"]]), 24)


def test_row_view_of_a_question_alone_has_no_answers(tmp_path):
    view = row_view(opened([publish_view(tmp_path)["questions"]]), 2)
    assert view.question["messages"][0]["content"] == "What is 2 + 7?"
    assert (view.response, view.verdict, view.answers) == ({}, {}, [])


def test_diff_marks_the_words_of_one_side_only():
    left, right = diff("so 1 + 1 = 2", "so 1 + 1 = 3")
    assert left == "so 1 + 1 = <del>2</del>"
    assert right == "so 1 + 1 = <ins>3</ins>"


def test_diff_escapes_markup_and_controls():
    left, _ = diff("<script>\x1b[31m", "x")
    assert left == "<del>&lt;script&gt;\\x1b[31m</del>"
