"""Public data sets, on rows of their shape: one command to a recipe whose references the self-test of ``verified`` accepts.

Run as a script, it prints the table of docs/data.md.
"""

import inspect
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.sources.sniffing import sniff
from stillhouse.verification import code_tests, self_test
from stillhouse.verification.pool import VerifierPool
from stillhouse.vocabulary.categories import PASS_THRESHOLDS
from tests.unit.sources.shapes import SHAPES
from tests.unit.sources.test_presets import read, write

SNIFFED = sorted(SHAPES)
DOCS = Path(__file__).parents[2] / "docs" / "data.md"
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


def rows_of_table(tmp_path, pool):
    """What ``sniff`` makes of every set, as rows of the table in docs/data.md."""
    rows = []
    for name in SNIFFED:
        (tmp_path / name).mkdir()
        sniffed = sniff(str(write(tmp_path / name, name)))
        tried = by_rule(pool, [replace(row, source=name) for row in sniffed.questions])
        counts = self_test.check(pool, tried, PASS_THRESHOLDS, 0.0) if tried else {}
        known = f"{counts['n_self_test']:.0f} of {counts['n_self_test']:.0f}" if counts else "by a judge"
        categories = ", ".join(sorted({row.category for row in sniffed.questions}))
        rows.append(f"| `{name}` | 1 | {len(sniffed.questions)} of {len(sniffed.rows)} | {categories} | {known} |")
    return rows


def test_sniffed_recipes_of_all_sets_pass_the_self_test_as_the_docs_say(tmp_path, pool):
    rows = rows_of_table(tmp_path, pool)
    assert len(rows) >= 40
    assert sum("by a judge" not in row for row in rows) >= 25
    text = DOCS.read_text()
    missing = [row for row in rows if row not in text]
    assert not missing, "run this file as a script and put its table into docs/data.md"


if __name__ == "__main__":
    with VerifierPool(10.0) as verifiers, tempfile.TemporaryDirectory() as directory:
        print(*rows_of_table(Path(directory), verifiers), sep="\n")
