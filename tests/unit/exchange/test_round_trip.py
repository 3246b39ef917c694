"""import -> export -> import gives equal rows, in every schema; and the file says again what it said."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.artifacts import tables
from stillhouse.exchange.export import export
from stillhouse.exchange.importing import import_release
from stillhouse.exchange.schemas import SCHEMAS
from stillhouse.vocabulary.rows import ROW_TYPES
from tests.unit.exchange.releases import ROWS


def imported(path, form, root):
    """Artifact -> rows of everything that the import published."""
    made = import_release([str(path)], f"{root}/{{stage}}/x/1", form=form)
    return {name: list(tables.read(root / name / "x" / "1", ROW_TYPES[name])) for name in made}


def exported(first, form, root, output):
    """The release of all that was imported."""
    export([f"{root}/{name}/x/1" for name in first], form, str(output))
    return output


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.mark.parametrize("form", ROWS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_row_decoded_and_encoded_is_the_same_row(form, data):
    row = data.draw(ROWS[form])
    assert SCHEMAS[form].encode(SCHEMAS[form].decode(row)) == row


@pytest.mark.parametrize("form", ROWS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_release_import_export_import_gives_equal_rows(form, data):
    given_rows = data.draw(st.lists(ROWS[form], min_size=1, max_size=8))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        file = root / "given.jsonl"
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given_rows), encoding="utf-8")
        first = imported(file, form, root / "a")
        again = exported(first, form, root / "a", root / "out" / "again.jsonl")
        assert imported(again, form, root / "b") == first
        assert [row for row in lines(again) if row not in given_rows] == []
        assert [row for row in given_rows if row not in lines(again)] == []
