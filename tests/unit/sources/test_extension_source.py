import hashlib
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from stillhouse import sources, testing
from stillhouse.errors import BadRows
from stillhouse.sources.config import Spec

SOURCE = """
from stillhouse import testing
from stillhouse.vocabulary.rows import Dropped

def three(spec):
    yield Dropped("row 1", "bad_value", "", "")
    yield from testing.questions(spec.settings.get("n", 3))

def wrong(spec):
    yield "a question"
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "door_sources.py").write_text(SOURCE)
    yield f"sha256-{hashlib.sha256(SOURCE.encode()).hexdigest()[:16]}"
    sys.modules.pop("door_sources", None)


def parsed(**values):
    return TypeAdapter(Spec).validate_python({"name": "mine", "license": "MIT", **values})


def test_extension_source_by_module_is_read_and_its_digest_is_part_of_the_config(module):
    spec = parsed(kind="door_sources:three")
    assert spec.model_dump()["kind"] == f"door_sources:three@{module}"
    assert parsed(**spec.model_dump()) == spec
    bad, *questions = sources.read(spec)
    assert (bad.reason, questions) == ("bad_value", testing.questions(3))


def test_extension_source_count_limits_the_questions_and_settings_are_passed_on(module):
    rows = list(sources.read(parsed(kind="door_sources:three", count=4, settings={"n": 9})))
    assert rows[1:] == testing.questions(9)[:4]


def test_extension_source_that_yields_no_rows_of_ours_is_refused(module):
    with pytest.raises(BadRows, match="yielded str; yield"):
        list(sources.read(parsed(kind="door_sources:wrong")))


def test_extension_source_of_unknown_name_names_the_nearest_kind():
    with pytest.raises(ValidationError, match="arithmetic"):
        parsed(kind="arithmetics")


def test_spec_without_kind_lists_the_kinds():
    with pytest.raises(ValidationError, match="a source needs a kind: arithmetic, reasoning_gym"):
        parsed()
