import pytest

from stillhouse import rows, testing
from stillhouse.exchange import parts
from stillhouse.exchange.parts import Parts
from stillhouse.rows import Response


def written(directory, made):
    out = Parts(directory, Response)
    for row in made:
        out.add(row)
    out.close()
    return [path.name for path in rows.parts(directory)]


@pytest.mark.parametrize(("limit", "n_parts"), [(1, 5), (10**9, 1)])
def test_parts_are_cut_where_their_text_grows_too_long(tmp_path, monkeypatch, limit, n_parts):
    monkeypatch.setattr(parts, "PART_BYTES", limit)
    made = [testing.response(asked) for asked in testing.questions(5)]
    assert len(written(tmp_path, made)) == n_parts
    assert list(rows.read(tmp_path, Response)) == made


def test_parts_without_rows_is_an_artifact_without_rows(tmp_path):
    assert written(tmp_path, []) == ["part-00000.parquet"]
    assert list(rows.read(tmp_path, Response)) == []
