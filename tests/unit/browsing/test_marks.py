from dataclasses import replace

import pytest

from stillhouse.artifacts import integrity, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.browsing.library import opened
from stillhouse.browsing.marks import Marking
from stillhouse.browsing.row_view import row_view
from stillhouse.errors import BadConfig, BadRows, NothingToDo
from stillhouse.vocabulary.rows import Mark
from tests.unit.browsing.views import publish_view


@pytest.fixture
def reviewed(tmp_path):
    return publish_view(tmp_path)["verified"]


def views(reviewed, *numbers):
    library = opened([reviewed])
    return [row_view(library, number) for number in numbers]


def test_marks_are_published_with_what_they_judge(tmp_path, reviewed):
    output = f"{tmp_path}/marks/first/1"
    marking = Marking(output, reviewed, "ann")
    right, wrong = views(reviewed, 1, 0)
    marking.mark(right, right=True)
    marking.mark(wrong, right=False)
    manifest = marking.publish()
    assert manifest.metrics == {"n_marks": 2, "n_right": 1, "n_wrong": 1}
    assert manifest.inputs["reviewed"][0].fingerprint == manifests.load(reviewed).fingerprint
    assert list(integrity.problems(output)) == [(f"file://{output}", None)]
    marks = list(tables.read(tmp_path / "marks" / "first" / "1", Mark))
    assert [(mark.passed, mark.right, mark.should_pass, mark.marked_by) for mark in marks] == [
        (False, False, True, "ann"), (True, True, True, "ann"),
    ]  # fmt: skip
    assert marks[0].reference_answer == "7"
    assert not (tmp_path / "marks" / "first" / "1.marks.json").exists()


def test_marks_of_an_earlier_try_are_gone_on_with(tmp_path, reviewed):
    output = f"{tmp_path}/marks/first/1"
    Marking(output, reviewed, "ann").mark(*views(reviewed, 1), right=True)
    again = Marking(output, reviewed, "ann")
    assert len(again.marks) == 1
    again.mark(*views(reviewed, 1), right=None)
    with pytest.raises(NothingToDo, match="no verdict was marked"):
        again.publish()


def test_marks_on_another_artifact_are_not_mixed(tmp_path, reviewed):
    output = f"{tmp_path}/marks/first/1"
    Marking(output, reviewed, "ann").mark(*views(reviewed, 1), right=True)
    other = publish_view(tmp_path / "other", n=4)["verified"]
    with pytest.raises(BadConfig, match="holds marks on another artifact"):
        Marking(output, other, "ann")


@pytest.mark.parametrize("output", ["marks/1", "verified/first/1"])
def test_marks_go_to_a_prefix_of_their_own(tmp_path, reviewed, output):
    with pytest.raises(BadConfig, match="write ROOT/marks/NAME/VERSION"):
        Marking(f"{tmp_path}/{output}", reviewed, "ann")


def test_marks_published_are_never_changed(tmp_path, reviewed):
    marking = Marking(f"{tmp_path}/marks/first/1", reviewed, "ann")
    marking.mark(*views(reviewed, 1), right=True)
    marking.publish()
    with pytest.raises(BadConfig, match="is published already"):
        Marking(f"{tmp_path}/marks/first/1", reviewed, "ann")


def test_marks_need_an_artifact_of_verdicts(tmp_path):
    questions = publish_view(tmp_path)["questions"]
    with pytest.raises(BadConfig, match="is a questions artifact, whose rows have no verdict; give one of verified, report"):
        Marking(f"{tmp_path}/marks/first/1", questions, "ann")


def test_mark_on_a_response_that_the_verifier_failed_on_is_refused(tmp_path, reviewed):
    (view,) = views(reviewed, 1)
    failed = replace(view, verdict={**view.verdict, "passed": None, "kind": "timeout"})
    with pytest.raises(BadRows, match=r"row 1: the verifier failed on it \(timeout\), so there is no verdict to mark"):
        Marking(f"{tmp_path}/marks/first/1", reviewed, "ann").mark(failed, right=True)


def test_mark_on_a_row_whose_question_is_gone_is_refused(tmp_path, reviewed):
    (view,) = views(reviewed, 1)
    with pytest.raises(BadRows, match="its response or its question is not in this view"):
        Marking(f"{tmp_path}/marks/first/1", reviewed, "ann").mark(replace(view, question={}), right=True)
