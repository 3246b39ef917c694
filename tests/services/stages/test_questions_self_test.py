"""The self-test of references in ``questions``: it starts verifiers."""

import json
from collections import Counter

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import NothingToDo, TooManyErrors
from stillhouse.stages import questions
from stillhouse.vocabulary.rows import Dropped, Question

SOLUTION = "There are 3 * {0} = <<3*{0}={1}>>{1} pens.\n#### {1}"
READ_OR_NOT = {"off": ["unread_reference"]}


def run(tmp_path, given, **config):
    tables.write(tmp_path / "in", given, Question)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    questions.run(questions.Config(**config), questions.Inputs(scratch=scratch, imported=(tmp_path / "in",)))
    return list(tables.read(scratch / "output", Question))


def test_questions_source_whose_references_no_rule_verifies_is_refused_by_name(tmp_path):
    odd = [testing.question(f"How many pens are in {n} boxes?", SOLUTION.format(n, 3 * n), source="odd") for n in range(8)]
    with pytest.raises(TooManyErrors, match="questions: .* judged wrongly for 64 of 64 math questions of source 'odd'"):
        run(tmp_path, [*odd, *testing.questions(8)], filters=READ_OR_NOT)


def test_questions_references_that_no_rule_reads_are_dropped_before_the_self_test(tmp_path):
    odd = [testing.question(f"How many pens are in {n} boxes?", SOLUTION.format(n, 3 * n), source="odd") for n in range(8)]
    kept = run(tmp_path, [*odd, *testing.questions(8)])
    assert {row.source for row in kept} == {row.source for row in testing.questions(8)}
    assert Counter(row.reason for row in tables.read(tmp_path / "scratch" / "output" / "dropped", Dropped)) == {
        "unread_reference": 8
    }


def test_questions_source_whose_references_are_verified_is_kept(tmp_path):
    assert len(run(tmp_path, testing.questions(20))) == 20


def test_questions_tests_that_cannot_be_run_are_refused(tmp_path):
    tests = json.dumps(["not", "an", "object"])
    code = [testing.question(f"Write f{n}.", None, category="code", test_cases=tests, source="mbpp") for n in range(4)]
    with pytest.raises(NothingToDo, match=r"none of 4 questions is left; dropped: \{'unread_tests': 4\}"):
        run(tmp_path, code)


def test_questions_self_test_can_be_switched_off(tmp_path):
    odd = [testing.question(f"How many pens are in {n} boxes?", SOLUTION.format(n, 3 * n)) for n in range(8)]
    assert len(run(tmp_path, odd, self_test=False, filters=READ_OR_NOT)) == 8
