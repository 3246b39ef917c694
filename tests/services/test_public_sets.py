"""Public data sets, on rows of their shape: one command to a recipe whose references the self-test of ``verified`` accepts."""

import inspect
import json
from dataclasses import replace

import pytest

from stillhouse.sources.sniffing import sniff
from stillhouse.verification import code_tests, self_test
from stillhouse.verification.pool import VerifierPool
from stillhouse.vocabulary.categories import PASS_THRESHOLDS
from tests.unit.sources.shapes import SHAPES
from tests.unit.sources.test_presets import read, write

SNIFFED = sorted(SHAPES)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(10.0) as pool:
        yield pool


def runnable(question):
    """Whether the sandbox of this release runs tests of this kind."""
    is_pytest = question.category == "code" and json.loads(question.test_cases)["call_type"] == "pytest"
    return not is_pytest or "pytest" in inspect.getsource(code_tests)


def by_rule(pool, questions):
    return [replace(row, source=row.source) for row in questions if row.category in pool.verifiers and runnable(row)]


def test_presets_references_of_all_sets_pass_the_self_test(tmp_path, pool):
    questions = []
    for name in sorted(SHAPES):
        (tmp_path / name).mkdir()
        questions += read(tmp_path / name, name)
    tried = by_rule(pool, questions)
    assert len({row.source for row in tried}) >= 25
    counts = self_test.check(pool, tried, PASS_THRESHOLDS, 0.0)
    assert counts["n_self_test_failed"] == 0


def test_sniffed_recipes_of_all_sets_pass_the_self_test(tmp_path, pool):
    questions = []
    for name in SNIFFED:
        (tmp_path / name).mkdir()
        questions += [replace(row, source=name) for row in sniff(str(write(tmp_path / name, name))).questions]
    tried = by_rule(pool, questions)
    assert len({row.source for row in tried}) >= 25
    counts = self_test.check(pool, tried, PASS_THRESHOLDS, 0.0)
    assert counts["n_self_test_failed"] == 0
